"""What a vendor's wire format must offer: one file each, and nothing else in the sandbox knows its shape."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from samovar.providers.sandbox.ask import Answer, Ask
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import Request


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How a vendor refuses, and how its streams begin.

    ``quota_status`` says that the account's money is spent; ``says_retry_after`` is whether a 429 has the header (Gemini has
    the time in its body alone); ``has_opening`` whether a stream begins with an event that holds nothing of the answer yet.
    """

    quota_status: int = 429
    no_key_status: int = 401
    bad_key_status: int = 401
    says_retry_after: bool = True
    has_opening: bool = True
    context_message: str = (
        "This model's maximum context length is 128000 tokens. Please reduce the length of the messages."
    )


class Endpoint(Protocol):
    """One endpoint of one vendor, whatever it answers."""

    @property
    def name(self) -> str:
        """A short name for the journal."""
        ...

    @property
    def manners(self) -> Manners:
        """How the vendor refuses."""
        ...

    def claims(self, path: str) -> bool:
        """Whether this path is one of its own."""
        ...

    def key(self, request: Request) -> bytes:
        """The API key as this vendor's clients send it, empty where none was sent."""
        ...

    def error(self, problem: Problem) -> bytes:
        """An error as a JSON body."""
        ...

    def headers(self, digest: str) -> bytes:
        """Extra header lines of an answer, each ended by CRLF."""
        ...


class Surface(Endpoint, Protocol):
    """An endpoint behind which a model talks."""

    def read(self, request: Request) -> Ask:
        """What is asked. Pure, and run in a thread for a large body. Raises ``Refused``."""
        ...

    def whole(self, ask: Ask, answer: Answer) -> bytes:
        """The answer as one JSON body."""
        ...

    def stream_type(self, ask: Ask) -> bytes:
        """The content type of a streamed answer."""
        ...

    def blocks(self, ask: Ask, answer: Answer) -> Iterator[bytes]:
        """The answer as event-stream blocks: the opening, one block for each piece, the closing. Each block holds one or
        more whole events."""
        ...

    def error_event(self, ask: Ask, answer: Answer, problem: Problem, at: int) -> bytes:
        """An error as an event in mid-stream, in the place of the block number ``at``; the stream ends with it."""
        ...

    def stray_events(self, ask: Ask) -> Mapping[str, bytes]:
        """Events that should not be: ``malformed`` (broken JSON), ``bad_utf8`` and ``unknown_event``."""
        ...


class Figure(msgspec.Struct, frozen=True):
    """A calculation done: what was asked, for directives and the journal, and the JSON body that answers it."""

    ask: Ask
    body: bytes


class Calculation(Endpoint, Protocol):
    """An endpoint that answers from the request alone, with one JSON body: no model talks, nothing is cached."""

    def work(self, request: Request) -> Figure:
        """The answer. Pure, and run in a thread where it is long. Raises ``Refused``."""
        ...


def bearer(headers: Mapping[bytes, bytes]) -> bytes:
    """The token of ``Authorization: Bearer ...``, or nothing."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def bearer_or_api_key(headers: Mapping[bytes, bytes]) -> bytes:
    """The token of ``Authorization: Bearer ...``, or Azure's ``api-key``."""
    return bearer(headers) or headers.get(b"api-key", b"")


def named(model: str) -> tuple[str, str]:
    """``sandbox/echo?chunks=50`` as the model's name and its directives."""
    name, _, suffix = model.partition("?")
    return name, suffix
