"""Parts of files that the kernel sends, to clients that are quick, slow, gone or asleep."""

import asyncio
import hashlib
import io
import mmap
import os
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from ctypes import addressof, c_char
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.kernel.errors import SamovarError, Unavailable
from samovar.kernel.tasks import T, ended
from samovar.ports.asgi import BY_KERNEL, Message, Receive, Scope, Send, send_whole
from tests.app.conftest import listening, read_answer
from tests.support.authority import Authority

LARGE = 24 * 1024 * 1024
ASKED = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"
_32_BIT = 0x40  # MAP_32BIT of mmap(2), which Python does not name


@pytest.fixture(scope="module")
def content() -> bytes:
    """More than a socket holds."""
    return os.urandom(LARGE)


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    """A file that holds it."""
    made = tmp_path / "large"
    made.write_bytes(content)
    return made


class File:
    """As an element's."""

    def __init__(self, path: Path | str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115

    def fileno(self) -> int:
        return self._file.fileno()

    async def run(self, step: Callable[[], T]) -> T:
        try:
            return await ended(asyncio.get_running_loop().run_in_executor(None, step))
        except (OSError, EOFError) as error:
            raise Unavailable(str(error)) from error

    def close(self) -> None:
        self._file.close()


Says = Callable[[Scope, File], AsyncIterator[Message]]
"""The messages of an answer."""


class Desk:
    """An app that answers with a file, and notes how that ended."""

    def __init__(self, path: Path | str, says: Says) -> None:
        self._path = path
        self._says = says
        self.ends: list[str] = []
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hello":
            await send_whole(send, 200, [], b"hello")
            return
        file = File(self._path)
        try:
            async for message in self._says(scope, file):
                await send(message)
            self.ends.append("whole")
        except (asyncio.CancelledError, RuntimeError, SamovarError) as error:
            self.ends.append(type(error).__name__)
        finally:
            file.close()
            self.ended.set()


def start(size_bytes: int | None) -> Message:
    headers = [] if size_bytes is None else [(b"content-length", b"%d" % size_bytes)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def body(piece: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


def part(file: File, offset: int, count: int, *, more: bool) -> Message:
    return {"type": BY_KERNEL, "file": file, "offset": offset, "count": count, "more_body": more}


async def alone(scope: Scope, file: File) -> AsyncIterator[Message]:
    """All of it by the kernel."""
    yield start(LARGE)
    yield part(file, 0, LARGE, more=False)


async def between(scope: Scope, file: File) -> AsyncIterator[Message]:
    """Between two pieces that the transport writes."""
    yield start(LARGE)
    yield body(os.pread(file.fileno(), 300_000, 0), more=True)
    yield part(file, 300_000, LARGE - 300_001, more=True)
    yield body(os.pread(file.fileno(), 1, LARGE - 1), more=False)


def held() -> int:
    return len(os.listdir("/proc/self/fd"))


async def _until(condition: Callable[[], bool], timeout_s: float = 8) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110  # any condition
        await asyncio.sleep(0.02)
    assert condition()


@asynccontextmanager
async def _asked(port: int, request: str, *, room: int = 8192) -> AsyncIterator[socket.socket]:
    """A connection on which nothing is read unasked."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, request.encode())
        yield client


async def _read(client: socket.socket, *, pause_s: float = 0.0, at_once: int = 1 << 20) -> bytes:
    """All that comes before the connection ends."""
    loop, pieces = asyncio.get_running_loop(), []
    with suppress(ConnectionResetError):
        async with asyncio.timeout(30):
            while block := await loop.sock_recv(client, at_once):
                pieces.append(block)
                await asyncio.sleep(pause_s)
    return b"".join(pieces)


@pytest.mark.parametrize("says", [alone, between])
@pytest.mark.parametrize("room", [4096, 1 << 20])
async def test_a_file_arrives_as_it_is_and_the_connection_goes_on(
    path: Path, content: bytes, says: Says, room: int
) -> None:
    desk = Desk(path, says)
    async with listening(desk) as port:
        before = held()
        # One behind the other, so that the second waits for the first and the greeting for both.
        async with _asked(
            port,
            ASKED.format("/a") * 2 + ASKED.format("/hello").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
            room=room,
        ) as client:
            said = await _read(client)
        heads = [piece.split(b"\r\n")[0] for piece in said.replace(content, b"").split(b"\r\n\r\n")[:-1]]
        assert heads == [b"HTTP/1.1 200 OK"] * 3
        assert said.count(content) == 2
        assert said.endswith(b"hello")
        assert desk.ends == ["whole", "whole"]
        await _until(lambda: held() <= before)


@pytest.mark.parametrize(
    ("request_line", "says_close"),
    [("GET /a HTTP/1.0\r\n\r\n", True), ("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", True)],
    ids=["HTTP/1.0", "close"],
)
async def test_a_connection_that_is_to_end_ends_behind_the_file(
    path: Path, content: bytes, request_line: str, says_close: bool
) -> None:
    async with listening(Desk(path, between)) as port, _asked(port, request_line) as client:
        head, _, rest = (await _read(client)).partition(b"\r\n\r\n")
        assert (b"connection: close" in head) == says_close
        assert hashlib.sha256(rest).digest() == hashlib.sha256(content).digest()


async def test_of_a_file_a_head_is_all_that_head_gets(path: Path) -> None:
    desk = Desk(path, between)
    async with listening(desk) as port:
        async with _asked(port, f"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n{ASKED.format('/hello')}") as client:
            reader, writer = await asyncio.open_connection(sock=client)
            assert (await read_answer(reader, has_body=False)).headers["content-length"] == str(LARGE)
            assert (await read_answer(reader)).body == b"hello"
            writer.close()
        assert desk.ends == ["whole"]


async def test_half_a_request_behind_a_file_does_not_cut_the_file(path: Path, content: bytes) -> None:
    async with (
        listening(Desk(path, between), header_timeout_s=0.2) as port,
        _asked(port, ASKED.format("/a") + "GET /half HTT") as client,
    ):
        await asyncio.sleep(1.6)
        said = await _read(client)
        assert said.partition(b"\r\n\r\n")[2] == content


async def test_who_reads_a_file_slowly_gets_all_of_it(path: Path, content: bytes) -> None:
    desk, began = Desk(path, between), time.monotonic()
    async with listening(desk, unread_timeout_s=1.0) as port:
        request = ASKED.format("/a").replace("Host", "Connection: close\r\nHost")
        async with _asked(port, request, room=400_000) as client:
            said = await _read(client, pause_s=0.025, at_once=160_000)
        assert time.monotonic() - began > 3
        assert said.endswith(content)
        assert desk.ends == ["whole"]


async def test_who_stops_reading_a_file_is_cut_off_and_nothing_of_it_stays_open(path: Path) -> None:
    desk = Desk(path, between)
    async with listening(desk, unread_timeout_s=1.0) as port:
        before = held()
        began = time.monotonic()
        async with _asked(port, ASKED.format("/a")) as client:
            async with asyncio.timeout(6):
                await desk.ended.wait()
            assert time.monotonic() - began > 1
            assert desk.ends == ["CancelledError"]
            assert 0 < len(await _read(client)) < LARGE
        await _until(lambda: held() <= before)


@pytest.mark.parametrize("after_bytes", [0, 3_000_000])
async def test_of_who_leaves_a_file_nothing_stays_open(path: Path, after_bytes: int) -> None:
    desk = Desk(path, alone)
    async with listening(desk) as port:
        before = held()
        async with _asked(port, ASKED.format("/a")) as client:
            got = 0
            while got < after_bytes:
                got += len(await asyncio.get_running_loop().sock_recv(client, 65_536))
        async with asyncio.timeout(5):
            await desk.ended.wait()
        assert desk.ends == ["CancelledError"]
        await _until(lambda: held() <= before)


async def test_a_file_that_ends_too_soon_cuts_the_connection(path: Path) -> None:
    desk = Desk(path, between)
    async with listening(desk) as port:
        before = held()
        async with _asked(port, ASKED.format("/a")) as client:
            await asyncio.sleep(0.2)
            os.truncate(path, 9_000_000)
            said = await _read(client)
        assert 0 < len(said) < 9_000_500
        assert desk.ends == ["Unavailable"]
        await _until(lambda: held() <= before)


async def test_what_the_kernel_cannot_send_is_copied() -> None:
    size_bytes = 3_000_000
    with mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _32_BIT) as memory:
        memory.write(os.urandom(size_bytes))
        # The file of our own memory is one that sendfile(2) refuses.
        place = c_char.from_buffer(memory)
        at = addressof(place)
        del place

        async def says(scope: Scope, file: File) -> AsyncIterator[Message]:
            with pytest.raises(OSError, match="Invalid argument"):
                os.sendfile(1, file.fileno(), at, 1)
            yield start(size_bytes)
            yield part(file, at, size_bytes, more=False)

        async with (
            listening(Desk("/proc/self/mem", says)) as port,
            _asked(port, ASKED.format("/a").replace("Host", "Connection: close\r\nHost")) as client,
        ):
            assert (await _read(client)).endswith(memory[:])


async def test_a_file_fits_its_content_length(path: Path) -> None:
    async def too_long(scope: Scope, file: File) -> AsyncIterator[Message]:
        yield start(1000)
        yield part(file, 0, 1001, more=False)

    async def too_short(scope: Scope, file: File) -> AsyncIterator[Message]:
        yield start(1000)
        yield part(file, 0, 999, more=False)

    async def unknown(scope: Scope, file: File) -> AsyncIterator[Message]:
        yield start(None)
        yield part(file, 0, 999, more=False)

    async def twice(scope: Scope, file: File) -> AsyncIterator[Message]:
        yield start(1000)
        yield part(file, 0, 1000, more=False)
        yield part(file, 0, 0, more=False)

    for says in (too_long, too_short, unknown, twice):
        desk = Desk(path, says)
        async with listening(desk) as port, _asked(port, ASKED.format("/a")) as client:
            if says is not twice:
                assert len((await _read(client)).partition(b"\r\n\r\n")[2]) < 1000
            async with asyncio.timeout(5):
                await desk.ended.wait()
        assert desk.ends == ["RuntimeError"], says


async def test_the_kernel_sends_nothing_that_is_to_be_encrypted(path: Path, tmp_path: Path) -> None:
    seen: list[Any] = []

    async def says(scope: Scope, file: File) -> AsyncIterator[Message]:
        seen.append(scope["extensions"])
        yield start(0)
        yield body(b"", more=False)

    async with listening(Desk(path, says)) as port, _asked(port, ASKED.format("/a")):
        await _until(lambda: len(seen) == 1)
    authority = Authority(tmp_path)
    async with listening(Desk(path, says), tls=authority.server(x509.DNSName("samovar.test"))) as port:
        trust = ssl.create_default_context(cadata=authority.pem.decode())
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="samovar.test")
        writer.write(ASKED.format("/a").encode())
        await _until(lambda: len(seen) == 2)
        writer.close()
    assert seen == [{BY_KERNEL: {}}, {}]


async def test_who_leaves_a_file_leaves_no_line_in_the_log(path: Path, logged: io.StringIO) -> None:
    desk = Desk(path, alone)
    async with listening(desk) as port:
        async with _asked(port, ASKED.format("/a")):
            pass
        async with asyncio.timeout(5):
            await desk.ended.wait()
    assert logged.getvalue() == ""


Step = tuple[bool, int]
"""By the kernel or not, and how many bytes."""


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 600_000)), max_size=6),
    room=st.sampled_from([2048, 65_536, 1 << 20]),
)
@settings(max_examples=30)
def test_pieces_and_files_arrive_in_the_order_in_which_they_were_sent(steps: Sequence[Step], room: int) -> None:
    size_bytes = sum(size for _, size in steps)
    whole = os.urandom(size_bytes)

    async def says(scope: Scope, file: File) -> AsyncIterator[Message]:
        yield start(size_bytes)
        at = 0
        for number, (by_kernel, size) in enumerate(steps):
            more = number < len(steps) - 1
            yield part(file, at, size, more=more) if by_kernel else body(whole[at : at + size], more=more)
            at += size
        if not steps:
            yield body(b"", more=False)

    async def run(path: str) -> bytes:
        request = ASKED.format("/a").replace("Host", "Connection: close\r\nHost")
        async with listening(Desk(path, says)) as port, _asked(port, request, room=room) as client:
            return (await _read(client)).partition(b"\r\n\r\n")[2]

    with tempfile.NamedTemporaryFile() as file:
        file.write(whole)
        file.flush()
        assert uvloop.run(run(file.name)) == whole
