"""What only an element of another process can meet: a way there that breaks, is refused, or is slow."""

import asyncio
import contextlib
import http.client
import json
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.remote import RemoteElement
from samovar.adapters.system import SystemClock
from samovar.kernel.principal import Principal
from samovar.kernel.tracing import TRACE, Trace
from samovar.ports.element_calls import OfDraft, error_of
from samovar.ports.element_frames import Kind, frame
from samovar.ports.elements import Attributes, Draft, ElementUnavailable, FileNotThere, Mode, OffsetDiffers
from tests.contract.elements.drafts import cold_content_of, content_of, draft, pieces, walked
from tests.contract.elements.homes import LARGE, on_disk, visible
from tests.contract.elements.reached import PERMISSIONS, QUICK, a_role, a_token, served
from tests.support.clock import ManualClock
from tests.support.sockets import Connections, closed_port


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[DiskElement]:
    """A started element."""
    element = DiskElement(tmp_path / "element", element_id="se-1", mode=Mode.EDIT, clock=SystemClock())
    await element.start()
    yield element
    await element.close()


@asynccontextmanager
async def reaching(url: str, **changed: Any) -> AsyncIterator[RemoteElement]:
    values: dict[str, Any] = {"element_id": "se-1", "token": a_token, "clock": SystemClock(), "bounds": QUICK} | changed
    element = RemoteElement(url, **values)
    # The link alone, without a first question.
    element._link = element._make_link()
    try:
        yield element
    finally:
        await element.close()


@asynccontextmanager
async def speaking(
    answer: Callable[[bytes], bytes | None], *, falls_silent: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each request with what ``answer`` makes of its head, or cuts it off at ``None``; and the heads."""
    heads: list[bytes] = []
    connections = Connections()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            async with connections.entered(writer):
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head)
                said = answer(head)
                if said is not None:
                    writer.write(said)
                    await writer.drain()
                while falls_silent and await reader.read(4096):
                    pass

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    await connections.break_all()


def framed(*frames: bytes) -> bytes:
    body = b"".join(frames)
    return b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def test_what_may_be_done_twice_is_tried_again_and_nothing_else_is(disk: DiskElement) -> None:
    made = await disk.write(draft("one"), pieces(b"tea"))
    right = framed(frame(Kind.DATA, msgspec.json.encode(made)), frame(Kind.END))
    answers: list[bytes | None] = [None, None, right]
    async with speaking(lambda _: answers.pop(0)) as (url, heads), reaching(url) as element:
        assert await element.attributes(made.path) == made
        assert len(heads) == 3
        answers += [None, right]
        with pytest.raises(ElementUnavailable):
            await element.amend(msgspec.structs.replace(made, revision=2))
        assert len(heads) == 4


async def test_an_element_that_fails_five_times_rests_for_a_minute_and_is_then_tried_once() -> None:
    clock = ManualClock()
    async with (
        speaking(lambda _: None) as (url, heads),
        reaching(url, clock=clock, bounds=msgspec.structs.replace(QUICK, attempts=1)) as element,
    ):
        for _ in range(5):
            with pytest.raises(ElementUnavailable, match="not reached"):
                await element.condition()
        for _ in range(3):
            with pytest.raises(ElementUnavailable, match="5 times in a row") as refused:
                await element.condition()
        assert 0 < int(refused.value.headers["Retry-After"]) <= 60
        assert len(heads) == 5
        clock.advance(61)
        for _ in range(2):
            with pytest.raises(ElementUnavailable):
                await element.condition()
        assert len(heads) == 6


async def test_what_the_element_itself_refuses_is_no_failure_of_the_way(disk: DiskElement) -> None:
    async with served(disk) as url, reaching(url) as element:
        for _ in range(7):
            with pytest.raises(FileNotThere):
                await element.attributes("2026/none")
        assert (await element.condition()).element_id == "se-1"


async def test_nobody_there_is_said_within_the_bounds() -> None:
    async with reaching(f"http://127.0.0.1:{closed_port()}") as element:
        with pytest.raises(ElementUnavailable):
            await element.condition()
        with pytest.raises(ElementUnavailable):
            await element.write(draft("one"), pieces(LARGE))
        with pytest.raises(ElementUnavailable):
            await content_of(element, "2026/one")


async def test_an_element_that_falls_silent_is_given_up_in_mid_answer() -> None:
    said = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + frame(Kind.DATA, b"tea")
    bounds = msgspec.structs.replace(QUICK, idle_s=0.2)
    async with speaking(lambda _: said, falls_silent=True) as (url, _), reaching(url, bounds=bounds) as element:
        reading = element.read("2026/one")
        assert await anext(reading) == b"tea"
        with pytest.raises(ElementUnavailable, match="broke off"):
            await anext(reading)


@pytest.mark.parametrize(
    "answer",
    [
        framed(frame(Kind.DATA, b"half of it")),
        framed(frame(Kind.DATA, b"half of it")[:-2]),
        framed(frame(Kind.DATA, b"half of it"), b"???????"),
    ],
)
async def test_half_of_a_content_is_never_taken_for_all_of_it(answer: bytes) -> None:
    async with speaking(lambda _: answer) as (url, _), reaching(url) as element:
        with pytest.raises(ElementUnavailable, match="broke off"):
            await content_of(element, "2026/one")


async def test_a_sender_whose_process_is_gone_leaves_nothing(disk: DiskElement, tmp_path: Path) -> None:
    home = on_disk(tmp_path / "element")
    async with served(disk) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        body = frame(Kind.DATA, msgspec.json.encode(OfDraft(draft=draft("one")))) + frame(Kind.DATA, LARGE)
        writer.write(
            b"POST /storage/v1/se-1/write HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a.b.c\r\n"
            b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)
        )
        await writer.drain()
        await until(lambda: home.names(), lambda names: any(name.endswith(".part") for name in names))
        writer.transport.abort()
        await until(lambda: visible(home), lambda names: not names)
    assert await walked(disk) == []


async def until(look: Callable[[], Awaitable[set[str]]], is_so: Callable[[set[str]], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so(await look()):  # noqa: ASYNC110 - the disk does not tell
            await asyncio.sleep(0.01)


class Stuck:
    """An element that takes nothing of a content, until it is told."""

    element_id = "se-1"

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def write(self, draft: Draft, content: AsyncIterator[bytes]) -> Attributes:
        await self.go.wait()
        async for _ in content:
            pass
        raise OffsetDiffers(offset_bytes=7)


async def test_a_slow_element_slows_its_sender_and_says_that_it_is_at_work() -> None:
    stuck, asked = Stuck(), 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(60):
            asked += 1
            yield bytes(1024 * 1024)

    bounds = msgspec.structs.replace(QUICK, idle_s=2)
    async with served(stuck, alive_every_s=0.05) as url, reaching(url, bounds=bounds) as element:  # type: ignore[arg-type]
        writing = asyncio.ensure_future(element.write(draft("one"), content()))
        await asyncio.sleep(0.5)
        assert asked < 20
        stuck.go.set()
        with pytest.raises(OffsetDiffers) as refused:
            await writing
        assert refused.value.offset_bytes == 7
        assert asked == 60


async def test_the_request_and_its_trace_are_known_over_there(disk: DiskElement) -> None:
    trace = Trace("req-of-ann", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    right = framed(frame(Kind.DATA, msgspec.json.encode(await disk.condition())), frame(Kind.END))
    async with speaking(lambda _: right) as (url, heads), reaching(url) as element:
        TRACE.set(trace)
        await element.condition()
    assert f"traceparent: {trace.traceparent}".encode() in heads[0].lower()
    assert b"x-request-id: req-of-ann" in heads[0].lower()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"id": "sa_01", "name": "a-service"}, "own roles alone"),
        ({"permissions": PERMISSIONS - {"files:write"}}, "files:write"),
    ],
    ids=["not a role", "without the permission"],
)
async def test_who_is_no_role_or_may_not_is_refused(disk: DiskElement, changed: dict[str, Any], words: str) -> None:
    async def verify(token: str) -> Principal:
        return msgspec.structs.replace(await a_role(token), **changed)

    async with served(disk, verify=verify) as url, reaching(url) as element:
        with pytest.raises(ElementUnavailable, match=words):
            await element.write(draft("one"), pieces(b"tea"))
    assert await walked(disk) == []


async def test_who_only_reads_is_not_given_what_is_cold(disk: DiskElement) -> None:
    async def verify(token: str) -> Principal:
        return msgspec.structs.replace(await a_role(token), permissions=frozenset({"files:read"}))

    made = await disk.write(draft("one"), pieces(b"tea"))
    async with served(disk, verify=verify) as url, reaching(url) as element:
        assert await content_of(element, made.path) == b"tea"
        with pytest.raises(ElementUnavailable, match="files:write"):
            await cold_content_of(element, made.path)


async def test_arguments_that_are_nested_too_deeply_are_malformed(disk: DiskElement) -> None:
    deep = b'{"draft": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    unknown = b'{"path": "a", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    async with served(disk) as url:
        for operation, arguments in (("begin", deep), ("attributes", unknown)):
            body = frame(Kind.DATA, arguments) + frame(Kind.END)
            status, document = await asyncio.to_thread(_posted, f"{url}/storage/v1/se-1/{operation}", body)
            assert (status, document["code"]) == (400, "malformed_request")


def _posted(url: str, body: bytes) -> tuple[int, Any]:
    at = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(at.netloc, timeout=10)
    try:
        connection.request("POST", at.path, body, {"Authorization": "Bearer a.b.c"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


async def test_an_element_that_the_process_has_not_is_away(disk: DiskElement) -> None:
    async with served(disk) as url:
        element = RemoteElement(url, element_id="se-2", token=a_token, clock=SystemClock(), bounds=QUICK)
        with pytest.raises(ElementUnavailable, match="se-2"):
            await element.start()


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"<html>", b"{}", b'{"code": 3}', b'{"code": "teapot", "detail": "x"}', b"\xff"),
        b'{"code": "conflict", "more": ' + b"[" * 100_000,
    ],
)
def test_what_a_proxy_says_in_between_is_no_answer_of_the_element(document: bytes) -> None:
    assert type(error_of(document, element_id="se-1")) is ElementUnavailable
