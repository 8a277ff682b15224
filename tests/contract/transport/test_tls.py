"""The transport port over TLS: whom it believes, and whom not."""

import asyncio
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509

from samovar.adapters.http1 import Http1Transport
from samovar.ports.transport import ConnectFailed, ConnectionBroken, ConnectTimeout, Timeouts, Transport
from tests.contract.transport.scenes import EVENTS, OK, QUICK, MakeTransport, ask, chunk, http1_of, post
from tests.support.authority import Authority
from tests.support.scripted import Peer, answering, scripted
from tests.support.sockets import silent_server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


async def test_an_authority_of_ones_own_is_believed(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)
    async with scripted(
        answering(EVENTS, chunk(b"a"), chunk(b"b"), b"0\r\n\r\n"), tls=authority.server(LOOPBACK)
    ) as server:
        for _ in range(3):
            assert await ask(transport, post(server.port, scheme="https")) == (200, b"ab")
            await asyncio.sleep(0.02)
        assert server.connections == 1
    async with scripted(answering(OK), tls=authority.server(x509.DNSName("localhost"))) as server:
        assert await ask(transport, post(server.port, scheme="https", host="localhost")) == (200, b"ok")


async def test_a_wrong_name_is_refused_unsent(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)
    async with scripted(answering(OK), tls=authority.server(x509.DNSName("other.test"))) as server:
        with pytest.raises(ConnectFailed) as refused:
            await ask(transport, post(server.port, scheme="https"))
        assert not refused.value.sent
        assert server.requests == []


async def test_an_unknown_authority_is_refused_unsent(transport: Transport, authority: Authority) -> None:
    async with scripted(answering(OK), tls=authority.server(LOOPBACK)) as server:
        with pytest.raises(ConnectFailed) as refused:
            await ask(transport, post(server.port, scheme="https"))
        assert not refused.value.sent
        assert server.requests == []


async def test_a_server_that_speaks_no_tls_is_refused_unsent(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scripted(script) as server:
        with pytest.raises(ConnectFailed) as refused:
            await ask(transport, post(server.port, scheme="https"))
        assert not refused.value.sent


async def test_a_handshake_has_the_connects_bound(transport: Transport) -> None:
    async with silent_server() as port:
        with pytest.raises(ConnectTimeout) as late:
            await ask(transport, post(port, scheme="https"), Timeouts(connect_s=0.3, first_byte_s=5))
        assert not late.value.sent


async def test_leaving_early_ends_a_tls_connection_too(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS, chunk(b"one"))
        await peer.gone()
        gone.set()

    async with scripted(script, tls=authority.server(LOOPBACK)) as server:
        request = post(server.port, scheme="https", streamed=True)
        async with transport.send(request, timeouts=QUICK) as answer:
            assert await anext(answer.blocks()) == b"one"
        async with asyncio.timeout(1):
            await gone.wait()


async def test_an_answer_cut_under_tls_is_broken(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS, chunk(b"one"))
        peer.cut()

    async with scripted(script, tls=authority.server(LOOPBACK)) as server:
        with pytest.raises(ConnectionBroken):
            await ask(transport, post(server.port, scheme="https"))


async def test_a_slow_taker_stops_the_server_under_tls(make_transport: MakeTransport, authority: Authority) -> None:
    transport = http1_of(make_transport(ca_pem=authority.pem))
    body = b"x" * 8_000_000
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with scripted(answering(head + body), tls=authority.server(LOOPBACK)) as server:
        async with transport.send(post(server.port, scheme="https"), timeouts=QUICK) as answer:
            await asyncio.sleep(0.2)
            assert await answer.read(max_bytes=len(body)) == body
        async with transport.send(post(server.port, scheme="https"), timeouts=QUICK) as answer:
            assert await answer.read(max_bytes=len(body)) == body
        assert server.connections == 1


def test_what_is_no_certificate_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="certificate"):
        Http1Transport(ca_pem=b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
