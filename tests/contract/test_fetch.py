"""The fetch port: what of a stranger's URLs is fetched, from real servers on loopback, and what never is."""

import asyncio
import gzip
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from samovar.adapters.webfetch import GuardedFetch, Network, is_public
from samovar.ports.fetch import Fetched, FetchesBusy, UrlRefused, UrlTooLarge, UrlUnreachable
from tests.support.authority import Authority
from tests.support.scripted import Peer, answering, scripted
from tests.support.sockets import closed_port, silent_server

LOOPBACK: Sequence[Network] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PICTURE = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 7\r\n\r\npicture"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that pytest-asyncio runs each test on."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


class Hosts:
    """A resolver over a table; a name's answers are given one after the other, the last for ever."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name.replace("_", "."): list(answer) for name, answer in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[IPv4Address | IPv6Address]:
        self.asked.append(host)
        answers = self._answers.get(host)
        if answers is None:
            raise OSError("no such host")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(address) for address in found]


def moved(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()


async def get(
    url: str,
    *ports: int,
    networks: Sequence[Network] = LOOPBACK,
    hosts: Hosts | None = None,
    max_bytes: int = 1000,
    timeout_s: float = 5.0,
    ca_pem: bytes | None = None,
) -> Fetched:
    fetch = GuardedFetch(allowed_networks=networks, ports=(80, 443, *ports), resolver=hosts or Hosts(), ca_pem=ca_pem)
    return await fetch.fetch(url, max_bytes=max_bytes, timeout_s=timeout_s)


async def test_what_a_url_names_is_fetched_from_an_allowed_network_alone() -> None:
    async with scripted(answering(PICTURE)) as server:
        url = f"http://127.0.0.1:{server.port}/cat.png?size=1"
        assert await get(url, server.port) == Fetched(b"picture", "image/png")
        head = server.requests[0].lower()
        assert head.startswith(b"get /cat.png?size=1 http/1.1\r\n")
        assert b"accept-encoding: identity" in head
        with pytest.raises(UrlRefused, match="public"):
            await get(url, server.port, networks=())
        assert server.connections == 1


async def test_the_system_finds_addresses_where_nobody_else_does() -> None:
    async with scripted(answering(PICTURE)) as server:
        url = f"http://localhost:{server.port}/"
        assert await GuardedFetch(allowed_networks=LOOPBACK, ports=(server.port,)).fetch(
            url, max_bytes=10, timeout_s=5
        ) == Fetched(b"picture", "image/png")
        with pytest.raises(UrlRefused, match="public"):
            await GuardedFetch(ports=(server.port,)).fetch(url, max_bytes=10, timeout_s=5)
        assert server.connections == 1


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.0.1.", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "0",
        "0.0.0.0",  # noqa: S104
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0xa9fea9fe", "100.64.0.1", "192.0.0.192", "198.18.0.1",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1", "１２７.0.0.1", "127。0。0。1",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]", "[2001::1]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
        "[2001:db8::1]", "[100::1]",
    ],
)  # fmt: skip
async def test_no_address_of_ours_is_fetched_from_in_any_notation(host: str) -> None:
    with pytest.raises(UrlRefused, match="public"):
        await get(f"http://{host}/latest/meta-data", networks=())


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/", "gopher://127.0.0.1:6379/_", "data:image/png;base64,aGk=", "//example.org/",
        "example.org", "", "http://", "http://user@example.org/", "http://user:pass@example.org/",
        "http://:pass@example.org/", "http://example.org:22/", "https://example.org:6379/", "http://localhost./",
        "http://[fe80::1%25eth0]/", "http://[::1/", "http://exa mple.org/", "http://example.org:99999/",
        "http://example.org/" + "x" * 9000, "javascript:alert(1)", "http://1.1.1.1 &@127.0.0.1/",
    ],
)  # fmt: skip
async def test_a_url_of_another_form_is_refused_unasked(url: str) -> None:
    hosts = Hosts(example_org=[["127.0.0.1"]], localhost=[["127.0.0.1"]])
    with pytest.raises(UrlRefused):
        await get(url, hosts=hosts)
    assert hosts.asked == []


@pytest.mark.parametrize("answers", [["10.0.0.7"], ["93.184.216.34", "10.0.0.7"], ["::ffff:10.0.0.7"], ["fd00::7"]])
async def test_a_name_that_leads_into_a_private_network_is_refused(answers: list[str]) -> None:
    with pytest.raises(UrlRefused, match="public") as refused:
        await get("http://rebind.test/", networks=(), hosts=Hosts(rebind_test=[answers]))
    assert "10.0" not in refused.value.detail


async def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked() -> None:
    async with (
        scripted(answering(PICTURE)) as public,
        scripted(answering(PICTURE), host="127.0.0.2") as private,
    ):
        hosts = Hosts(rebind_test=[["127.0.0.1"], ["127.0.0.2"]])
        fetched = await get(
            f"http://ReBind.test:{public.port}/", public.port, networks=(ip_network("127.0.0.1/32"),), hosts=hosts
        )
        assert fetched.content == b"picture"
        assert hosts.asked == ["rebind.test"]
        assert b"host: rebind.test:" in public.requests[0].lower()
        assert private.connections == 0
        with pytest.raises(UrlRefused, match="public"):
            await get(
                f"http://rebind.test:{public.port}/", public.port, networks=(ip_network("127.0.0.1/32"),), hosts=hosts
            )


async def test_a_name_of_another_alphabet_is_looked_up_in_ascii() -> None:
    async with scripted(answering(PICTURE)) as server:
        hosts = Hosts(**{"xn--e1afmkfd_xn--p1ai": [["127.0.0.1"]]})
        assert (await get(f"http://пример.рф:{server.port}/", server.port, hosts=hosts)).content == b"picture"
        assert b"host: xn--e1afmkfd.xn--p1ai" in server.requests[0].lower()


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    async with scripted(answering(PICTURE)) as server:
        hosts = Hosts(two_test=[["127.0.0.9", "127.0.0.1"]])
        assert (await get(f"http://two.test:{server.port}/", server.port, hosts=hosts)).content == b"picture"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(status: int) -> None:
    async with scripted(answering(PICTURE)) as last, scripted(answering(moved("/b", status))) as unused:
        async with scripted(answering(moved(f"http://127.0.0.1:{last.port}/c", status))) as first:
            fetched = await get(f"http://127.0.0.1:{first.port}/a", first.port, last.port)
        assert fetched.content == b"picture"
        assert last.requests[0].startswith(b"GET /c ")
        assert unused.connections == 0


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data", "http://localhost/", "http://0x7f.2/", "http://[::ffff:127.0.0.1]/",
        "http://inside.test/", "file:///etc/passwd", "http://me:you@127.0.0.1/", "//127.0.0.2/", "http://127.0.0.1:22/",
        "http://", "gopher://127.0.0.1:6379/_FLUSHALL",
    ],
)  # fmt: skip
async def test_a_redirect_passes_the_same_guard(location: str) -> None:
    hosts = Hosts(public_test=[["127.0.0.1"]], localhost=[["127.0.0.2"]], inside_test=[["10.1.2.3"]])
    only = (ip_network("127.0.0.1/32"),)
    async with scripted(answering(moved(location))) as server:
        with pytest.raises(UrlRefused):
            await get(f"http://public.test:{server.port}/", server.port, networks=only, hosts=hosts)
        assert server.connections == 1


async def test_three_redirects_are_followed_and_no_fourth() -> None:
    async def script(peer: Peer) -> None:
        while True:
            hops = int((await peer.request()).split()[1][1:])
            await peer.say(PICTURE if hops == 0 else moved(f"/{hops - 1}"))

    async with scripted(script) as server:
        assert (await get(f"http://127.0.0.1:{server.port}/3", server.port)).content == b"picture"
        with pytest.raises(UrlUnreachable, match="more than 3"):
            await get(f"http://127.0.0.1:{server.port}/4", server.port)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n12345678",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n0\r\n\r\n",
    ],
)
async def test_more_bytes_than_asked_for_are_not_read(answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer)

    async with scripted(script) as server:
        with pytest.raises(UrlTooLarge, match="more than 7 bytes"):
            await get(f"http://127.0.0.1:{server.port}/", server.port, max_bytes=7)


async def test_an_announced_size_is_refused_before_it_comes() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
        await peer.gone()

    async with scripted(script) as server:
        with pytest.raises(UrlTooLarge):
            await get(f"http://127.0.0.1:{server.port}/", server.port)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"zstd", b"deflate"])
async def test_a_compressed_answer_is_not_unpacked(encoding: bytes) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (encoding, len(bomb))
    async with scripted(answering(head + bomb)) as server:
        with pytest.raises(UrlUnreachable, match="compressed"):
            await get(f"http://127.0.0.1:{server.port}/", server.port, max_bytes=100_000)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\n\r\nx", b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_whole_and_good_is_told(answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer)

    async with scripted(script) as server:
        with pytest.raises(UrlUnreachable):
            await get(f"http://127.0.0.1:{server.port}/", server.port)


@pytest.mark.parametrize("name", ["location", "content-encoding"])
async def test_a_header_that_is_no_text_is_told(name: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\n{name}: http://кот.example/\r\ncontent-length: 0\r\n\r\n".encode()
    if name != "location":
        answer = answer.replace(b"302 Found", b"200 OK")
    async with scripted(answering(answer)) as server:
        with pytest.raises(UrlUnreachable, match=name):
            await get(f"http://127.0.0.1:{server.port}/", server.port)


async def test_a_type_that_is_no_text_keeps_nobody_from_the_picture() -> None:
    answer = PICTURE.replace(b"image/png", "image/png; name=кот".encode())
    async with scripted(answering(answer)) as server:
        assert await get(f"http://127.0.0.1:{server.port}/", server.port) == Fetched(b"picture", "")


async def test_a_server_that_is_not_there_is_told() -> None:
    port = closed_port()
    with pytest.raises(UrlUnreachable, match="cannot be reached"):
        await get(f"http://127.0.0.1:{port}/", port)
    with pytest.raises(UrlUnreachable, match="not known"):
        await get("http://nowhere.test/")


async def test_a_drip_of_bytes_ends_with_the_time() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            while True:
                peer.writer.write(b"x")
                await peer.writer.drain()
                await asyncio.sleep(0.02)
        finally:
            gone.set()

    async with scripted(script) as server:
        with pytest.raises(UrlUnreachable, match=r"within 0\.4 s"):
            await get(f"http://127.0.0.1:{server.port}/", server.port, timeout_s=0.4)
        async with asyncio.timeout(3):
            await gone.wait()
    async with silent_server() as port:
        with pytest.raises(UrlUnreachable, match="within"):
            await get(f"http://127.0.0.1:{port}/", port, timeout_s=0.2)


async def test_a_slow_lookup_ends_with_the_time_too() -> None:
    async def never(host: str, port: int) -> Sequence[IPv4Address | IPv6Address]:
        await asyncio.Event().wait()
        raise AssertionError(host, port)

    with pytest.raises(UrlUnreachable, match="within"):
        await GuardedFetch(resolver=never).fetch("http://slow.test/", max_bytes=1, timeout_s=0.1)


async def test_only_so_many_are_fetched_at_once() -> None:
    async with silent_server() as port:
        fetch = GuardedFetch(allowed_networks=LOOPBACK, ports=(port,), max_at_once=2)
        async with asyncio.TaskGroup() as group:
            first = [group.create_task(_unreachable(fetch, port)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(FetchesBusy) as busy:
                await fetch.fetch(f"http://127.0.0.1:{port}/", max_bytes=1, timeout_s=1)
            assert busy.value.headers == {"retry-after": "1"}
        assert [task.result() for task in first] == [True, True]
        assert await _unreachable(fetch, port)


async def _unreachable(fetch: GuardedFetch, port: int) -> bool:
    with pytest.raises(UrlUnreachable):
        await fetch.fetch(f"http://127.0.0.1:{port}/", max_bytes=1, timeout_s=0.5)
    return True


async def test_a_certificate_must_be_the_names_and_its_name_is_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    hosts = Hosts(cat_test=[["127.0.0.1"]], dog_test=[["127.0.0.1"]])
    context = authority.server(x509.DNSName("cat.test"))
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with scripted(answering(PICTURE), tls=context) as server:
        url = f"https://cat.test:{server.port}/"
        fetched = await get(url, server.port, hosts=hosts, ca_pem=authority.pem)
        assert (fetched.content, asked) == (b"picture", ["cat.test"])
        with pytest.raises(UrlUnreachable, match="who it is"):
            await get(f"https://dog.test:{server.port}/", server.port, hosts=hosts, ca_pem=authority.pem)
        with pytest.raises(UrlUnreachable, match="who it is"):
            await get(url, server.port, hosts=hosts)
        assert len(server.requests) == 1


async def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server(x509.DNSName("cat.test"))
    async with scripted(answering(moved("http://cat.test/")), tls=context) as server:
        with pytest.raises(UrlRefused, match="from https to http"):
            await get(
                f"https://cat.test:{server.port}/",
                server.port,
                hosts=Hosts(cat_test=[["127.0.0.1"]]),
                ca_pem=authority.pem,
            )


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_never_public(address: IPv4Address) -> None:
    number = int(address)
    disguises = (
        number, 0xFFFF << 32 | number, 0x0064_FF9B << 96 | number, 0x2002 << 112 | number << 80, 0x2001 << 112 | number,
    )  # fmt: skip
    assert not any(is_public(IPv6Address(disguise)) for disguise in disguises)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_is_public_is_global_and_nothing_special(address: IPv4Address | IPv6Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not any((address.is_multicast, address.is_private, address.is_reserved, address.is_link_local))


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "2a00:1450:4001::200e"])
def test_the_public_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))
