"""Raw ASGI for the data plane: the types, and how a body is read within its bounds.

An :class:`Endpoint` answers on ``send`` itself and returns the status it gave, so that the edge can count it without
wrapping ``send`` (which would cost every chunk of every stream).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from samovar.kernel.errors import BodyTooLarge, BodyTooSlow, Malformed, SamovarError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

CLIENT_GONE: Final = 499
"""What a request counts as whose caller went away before its answer (nginx's number; nobody is there to read it)."""
REQUEST_ID: Final = "samovar.request_id"
"""Where an endpoint leaves the request's id in the scope, for the edge's log."""
SIGNED_IN: Final = "samovar.signed_in"
"""Stands in the scope once the caller is known."""
CALLER: Final = "samovar.caller"
"""Where the principal stands in the scope once it is known, whether or not it may do what it asks."""
REFUSAL: Final = "samovar.refusal"
"""Stands in the scope where the edge shuts the caller's address out: the error, to be told in the surface's own shape."""
LIMITS: Final = "samovar.limits"
"""Headers that tell the caller's limits, for the answers of the control plane."""
BROKEN: Final = "samovar.broken"
"""Stands in the last message of a stream that told its caller of a failure: it is no answer to give again."""
BY_KERNEL: Final = "http.response.zerocopysend"
"""The message that has the kernel send a part of a file, and the extension by which a connection says that it can (ASGI, *Zero
Copy Send*). Its ``file`` is a :class:`SentFile`; ``offset`` and ``count``, in bytes, always stand."""
_MAX_REQUEST_ID_BYTES: Final = 128
_REQUEST_ID_BYTES: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."


_UNREAD: Final = {"Connection": "close"}
"""What of the body was not read cannot be told from the next request: the connection ends with the answer."""


class Endpoint(Protocol):
    """One route of the data plane."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[int]:
        """Answer the request and return the status given (:data:`CLIENT_GONE` where there is none)."""
        ...


class HoldsBody:
    """Whose ``receive`` it is, where the body need not be waited for. A ``receive`` that somebody wrapped is a function of theirs
    and hands it over in messages."""

    __slots__ = ()

    def take_body(self) -> bytes | None:
        """The body, where all of it is here and none was taken. ``None``, and nothing is done, where it is not so simple."""
        return None


def body_at_hand(receive: Receive, *, declared: bytes | None, max_bytes: int) -> bytes | None:
    """The whole body, where it is here already; else ``None``, and :func:`read_body` waits for it. Raises as that."""
    _check_declared(declared, max_bytes)
    owner = getattr(receive, "__self__", None)
    body = owner.take_body() if isinstance(owner, HoldsBody) else None
    if body is not None and len(body) > max_bytes:
        raise BodyTooLarge(f"the body is larger than the {max_bytes} bytes that are taken here", headers=_UNREAD)
    return body


async def read_body(receive: Receive, *, declared: bytes | None, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. ``declared`` is the ``Content-Length`` header.

    Raises ``BodyTooLarge`` (before reading, where the length is declared), ``BodyTooSlow`` when it is not here within
    ``timeout_s``, ``Malformed`` for a length that is no number.
    """
    at_hand = body_at_hand(receive, declared=declared, max_bytes=max_bytes)
    if at_hand is not None:
        return at_hand
    message = await receive()
    if not message.get("more_body"):
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        body: bytes = message.get("body", b"")
        if len(body) > max_bytes:
            raise BodyTooLarge(f"the body is larger than the {max_bytes} bytes that are taken here", headers=_UNREAD)
        return body
    # Only a body that did not come in one piece pays for a timer.
    try:
        async with asyncio.timeout(timeout_s):
            return await _rest(receive, message["body"], max_bytes)
    except TimeoutError as error:
        raise BodyTooSlow(f"the body did not arrive within {timeout_s:g} s", headers=_UNREAD) from error


async def body_pieces(
    receive: Receive, *, declared: bytes | None, max_bytes: int, timeout_s: float
) -> AsyncIterator[bytes]:
    """The body as it comes in, for who need not have it whole. Raises as :func:`read_body`; at most ``max_bytes`` and the piece
    that passes them are ever read."""
    _check_declared(declared, max_bytes)
    ends = asyncio.get_running_loop().time() + timeout_s
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError as error:
            raise BodyTooSlow(f"the body did not arrive within {timeout_s:g} s", headers=_UNREAD) from error
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > max_bytes:
            raise BodyTooLarge(f"the body is larger than the {max_bytes} bytes that are taken here", headers=_UNREAD)
        yield piece
        more = message.get("more_body", False)


def _check_declared(declared: bytes | None, max_bytes: int) -> None:
    if declared is None:
        return
    if not declared.isdigit():
        raise Malformed("the Content-Length header is not a number")
    if int(declared) > max_bytes:
        raise BodyTooLarge(f"the body has {int(declared)} bytes; at most {max_bytes} are taken here", headers=_UNREAD)


async def _rest(receive: Receive, first: bytes, max_bytes: int) -> bytes:
    pieces = [first]
    size = len(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # The server cancels the task of a client that left; this is for servers that only say so.
            raise asyncio.CancelledError
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > max_bytes:
            raise BodyTooLarge(f"the body is larger than the {max_bytes} bytes that are taken here", headers=_UNREAD)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)


def sane_request_id(value: bytes) -> str | None:
    """The caller's ``X-Request-Id``, if it may stand in a log and in a header: letters, digits and ``-_.``, at most 128."""
    if not value or len(value) > _MAX_REQUEST_ID_BYTES or value.translate(None, _REQUEST_ID_BYTES):
        return None
    return value.decode("ascii")


MADE: Final = "samovar.made"
"""Stands in the scope of a request that makes several things: what its record would name, of each that stands, in the order
in which they came to be. A list of dictionaries; whatever becomes of the request itself, those stand."""


T = TypeVar("T")


class SentFile(Protocol):
    """An open file, and the threads for what waits for its disk."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...

    async def run(self, step: Callable[[], T]) -> T:
        """Run ``step``, which reads the file, in a thread. Cancelled, this waits for the step's end. Its ``OSError``, and its
        ``EOFError`` for a file that ends too soon, are raised as a ``SamovarError``."""
        ...


_CLOSES: Final = (b"connection", b"close")


class Lines(msgspec.Struct, frozen=True, gc=False):
    """Headers as a connection writes them, ``name: value`` with a line break between two. ``number`` is how many they should be:
    by it one that holds a line break is found. ``closes`` is whether one of them ends the connection."""

    text: bytes
    number: int
    closes: bool = False


def lines_of(headers: RawHeaders) -> Lines:
    """Joined."""
    return Lines(b"\r\n".join(map(b": ".join, headers)), len(headers), _CLOSES in headers)


def pairs_of(lines: Lines) -> list[tuple[bytes, bytes]]:
    """Each by itself. Raises ``RuntimeError`` for one with a line break."""
    pairs = [line.partition(b": ")[::2] for line in lines.text.split(b"\r\n")] if lines.number else []
    if len(pairs) != lines.number:
        raise RuntimeError(SPLIT)
    return pairs


SPLIT: Final = "a header holds a line break"


class AnswersWhole:
    """Whose ``send`` it is, where a whole answer need not be put into messages. A ``send`` that somebody wrapped, to add to an
    answer or to note it, is a function of theirs and gets the messages."""

    __slots__ = ()

    def answer_whole(self, status: int, headers: Lines, body: bytes) -> bool:
        """Answer with these and a ``content-length``, unless that must wait or is no such simple case: then nothing is done and
        it is ``False``. Raises ``RuntimeError`` for a header with a line break."""
        return False


def sent_at_once(send: Send, status: int, headers: Lines, body: bytes) -> bool:
    """:func:`send_whole`, where that has nothing to wait for; else nothing is done and it is ``False``."""
    owner = getattr(send, "__self__", None)
    return isinstance(owner, AnswersWhole) and owner.answer_whole(status, headers, body)


async def send_whole(send: Send, status: int, headers: RawHeaders | Lines, body: bytes) -> None:
    """A whole answer; ``content-length`` is added. Raises ``RuntimeError`` for a header with a line break."""
    lines = headers if isinstance(headers, Lines) else lines_of(headers)
    if sent_at_once(send, status, lines, body):
        return
    full = [*pairs_of(lines), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": full})
    await send({"type": "http.response.body", "body": body})


class Route(NamedTuple):
    """A place of the data plane. With ``is_prefix`` every path below ``path`` leads there too, with ``is_number`` as well only
    those whose rest is one whole number, with a ``shape`` only those that it fits; ``template`` is what metrics call it."""

    method: str
    path: str
    endpoint: Endpoint
    template: str
    is_prefix: bool = False
    is_number: bool = False
    shape: re.Pattern[str] | None = None

    def leads(self, path: str) -> bool:
        """Whether ``path`` lies below this prefix."""
        if not path.startswith(self.path):
            return False
        if self.shape is not None:
            return self.shape.fullmatch(path) is not None
        if not self.is_number:
            return True
        rest = path[len(self.path) :]
        return rest.isascii() and rest.isdigit()


def header_pairs(error: SamovarError) -> list[tuple[bytes, bytes]]:
    """The error's own headers (``Retry-After``, ``WWW-Authenticate``, ``Allow``)."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
