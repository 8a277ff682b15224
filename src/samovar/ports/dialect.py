"""How a wire language is read and written, in both directions, and who speaks it.

A :class:`Dialect` is a wire format (OpenAI chat, Anthropic messages): as a :class:`Surface` it reads a caller's request and
writes the answer; as a *vendor's language* it writes our request and reads the answer. A :class:`Vendor` is somebody who
speaks one or more dialects, with an address, a way to sign in, and quirks. When caller and vendor share a dialect the
bytes pass through (:meth:`Dialect.splice`, :meth:`Dialect.relay`) and only a tap looks at them.

Everything here is pure and synchronous: bytes in, bytes out, no clock, no network.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import SseEvent
from samovar.ports.llm import ChatRequest, ChatResponse, Delta, Stop, Usage


class Unsupported(SamovarError):
    """The chosen vendor's dialect cannot say what the caller asked. ``flaws`` name each field in the caller's words."""

    code = "unsupported_by_provider"
    status = 400
    title = "The chosen model's provider cannot do this"


class UpstreamError(SamovarError):
    """The vendor answered with an error. ``upstream_status`` and ``detail`` are the vendor's; secrets never stand in it.

    The instance's ``http_status`` is what the caller gets: the vendor's own for the caller's faults (400, 404, 413, 422)
    and for 429; 502 for the vendor's faults and for *our* credentials being refused (401, 403), which is no fault of the
    caller's.
    """

    code = "upstream_error"
    status = 502
    title = "The provider answered with an error"

    def __init__(
        self,
        detail: str,
        *,
        upstream_status: int,
        upstream_code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        headers = {} if retry_after_s is None else {"Retry-After": str(max(0, round(retry_after_s)))}
        super().__init__(detail, headers=headers)
        self.upstream_status = upstream_status
        self.upstream_code = upstream_code
        self.retry_after_s = retry_after_s

    @property
    def http_status(self) -> int:
        """The status the caller sees."""
        passed_on = (400, 404, 409, 413, 415, 422, 429)
        return self.upstream_status if self.upstream_status in passed_on else 502


class BadAnswer(SamovarError):
    """The vendor's answer is not what its dialect allows (HTML from a proxy, a malformed chunk, an answer cut short)."""

    code = "upstream_bad_answer"
    status = 502
    title = "The provider's answer could not be read"


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """Where a vendor differs from the dialect it speaks. Data, so that a new vendor needs no code."""

    max_tokens_field: str = "max_completion_tokens"
    """What OpenAI chat calls the bound on the answer: newer servers ``max_completion_tokens``, others ``max_tokens``."""
    developer_role: bool = True
    stream_usage_option: bool = True
    """Usage at a stream's end must be asked for with ``stream_options.include_usage``."""
    output_excludes_reasoning: bool = False
    """``completion_tokens`` leaves reasoning tokens out (xAI's chat)."""
    reasoning_field: str | None = None
    """Where a chat message carries the thinking: ``reasoning_content`` (BigModel, DeepSeek), ``reasoning`` (OpenRouter)."""
    reasoning_switch: str | None = None
    """How thinking is asked for: ``"effort"`` (``reasoning_effort``), ``"thinking"`` (BigModel's object),
    ``"openrouter"`` (its ``reasoning`` object); ``None`` cannot."""
    call_signatures: bool = False
    """Signatures of calls go back in ``extra_content``, as Google's own OpenAI-compatible surface gives them."""
    rejects: frozenset[str] = frozenset()
    """Request fields this vendor answers with an error or ignores silently: refused here, in the caller's words."""


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who serves models. ``paths`` are per dialect, best first; ``{model}`` is filled in where it stands."""

    name: str
    title: str
    base_url: str
    paths: Mapping[str, str]
    key_env: str | None
    base_url_env: str | None
    key_header: str = "authorization"
    key_prefix: str = "Bearer "
    headers: Sequence[tuple[str, str]] = ()
    stream_paths: Mapping[str, str] = {}
    """Where streaming has another path than ``paths`` (Gemini)."""
    embedding_paths: Mapping[str, str] = {}
    """Where vectors are made, by the dialect to whose family the language of embeddings belongs; empty where none are. A
    surface's own name stands beside them where its shape has a path of its own."""
    count_paths: Mapping[str, str] = {}
    """Where tokens of a prompt are counted in that dialect."""
    preferred: Sequence[tuple[str, str]] = ()
    """The beginning of a model's name, and the dialect that serves it best when a caller speaks none of the vendor's."""
    price_source: str | None = None
    """The provider's id in the price snapshot, ``None`` where nobody publishes prices."""
    needs_key: bool = True
    quirks: Quirks = Quirks()
    idempotency_header: str | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What routing needs of a request, read without parsing its messages."""

    model: str
    stream: bool = False
    wants_usage: bool = False
    max_output_tokens: int | None = None
    choices: int = 1
    drop_params: bool = False
    makers: frozenset[str] = frozenset()
    """Whose answers or encrypted reasoning it goes on from (``ports.pins``): only they can read them."""
    leans_on_kept: bool = False
    """Some of what it says is kept by the vendor (an answer before, a prompt, a cache): how long that is nobody here knows."""


class StreamReader(Protocol):
    """A vendor's events to deltas. One for each stream."""

    @property
    def unknown_events(self) -> int:
        """How many were skipped because this version does not know their kind."""
        ...

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for an event that the dialect does not allow."""
        ...

    def end(self) -> Sequence[Delta]:
        """The vendor closed the stream. Raises :class:`BadAnswer` if it may not end here (it was cut)."""
        ...


class StreamWriter(Protocol):
    """Deltas to a surface's bytes. One for each stream."""

    def write(self, delta: Delta) -> bytes:
        """Bytes for the caller, possibly none."""
        ...

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """What closes the stream; ``extra`` is put into the last event as its ``samovar`` field."""
        ...

    def fail(self, error: SamovarError) -> bytes:
        """The typed error event of the dialect, after content was sent. Nothing follows it."""
        ...


class Relay(Protocol):
    """Passes a vendor's stream through in its own dialect and watches it. One for each stream.

    Blocks come in cut anywhere and go out as soon as they may: what the caller did not ask for is taken out.
    """

    def feed(self, block: bytes) -> bytes:
        """Bytes for the caller. Raises :class:`UpstreamError` for an error event before any content, :class:`BadAnswer`
        for a stream that is not the dialect's."""
        ...

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """The vendor closed the stream: what was still held back. Raises :class:`BadAnswer` if it was cut."""
        ...

    def fail(self, error: SamovarError) -> bytes:
        """The typed error event of the dialect, after content was sent. Nothing follows it."""
        ...

    @property
    def started(self) -> bool:
        """Whether the first content has come: from here on no other vendor may be tried."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The last usage seen."""
        ...

    @property
    def stop(self) -> Stop | None:
        """Why it stopped, once known."""
        ...

    @property
    def model(self) -> str:
        """The vendor's own name of the model that answers; empty where it was not seen (yet)."""
        ...

    @property
    def failed(self) -> UpstreamError | None:
        """The error event that ended the stream after its first content; it has been passed on to the caller."""
        ...

    @property
    def output_chars(self) -> int:
        """Characters of content that went through: the base of an estimate when the stream is cut before its usage."""
        ...

    @property
    def unknown_events(self) -> int:
        """How many this version does not know the kind of, as far as the relay looks at them. They went through."""
        ...


class Tapped(msgspec.Struct, frozen=True):
    """What a passed-through whole answer says of itself."""

    model: str
    usage: Usage | None
    stop: Stop | None
    pins: tuple[str, ...] = ()
    """Strings in it that only their maker can read again (``ports.pins``)."""


class Surface(Protocol):
    """What a caller speaks to us. Most are one half of a :class:`Dialect`; one that no vendor speaks is this alone."""

    @property
    def name(self) -> str:
        """Of the language. Only a :class:`Dialect` bears a name that stands in the paths of a :class:`Vendor`."""
        ...

    @property
    def forwarded_headers(self) -> frozenset[bytes]:
        """Headers (lower case) of a caller that mean something to a vendor of this language and go on to it."""
        ...

    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed`` for what is no JSON, ``BadRequest`` shapes as ``Malformed`` with flaws."""
        ...

    def read_request(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed``, with a JSON path for each flaw."""
        ...

    def amended(self, body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
        """The caller's bytes with this bound on the answer in place of his own, ``None`` for no change, and with
        ``drop_params`` where he does not say it. Raises ``Malformed``."""
        ...

    def write_response(self, response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
        """``extra`` becomes the answer's ``samovar`` field."""
        ...

    def stream_writer(self, request: ChatRequest) -> StreamWriter: ...

    def write_error(self, error: SamovarError, *, status: int, request_id: str) -> bytes:
        """The vendor's own error shape."""
        ...

    def keep_alive(self) -> bytes:
        """What tells a waiting client that we are there; may be empty."""
        ...


class Dialect(Surface, Protocol):
    """One wire language, both ways: a surface, and what a vendor is spoken to in."""

    default_headers: tuple[tuple[str, str], ...]
    """Headers that a vendor of this dialect wants, for when the caller sent none of that name."""

    def write_request(self, request: ChatRequest, *, vendor: Vendor, drop_params: bool) -> bytes:
        """``request.model`` is already the vendor's own name. Raises :class:`Unsupported`."""
        ...

    def read_response(self, body: bytes, *, vendor: Vendor) -> ChatResponse:
        """Raises :class:`BadAnswer`, or :class:`UpstreamError` for an error in a 200."""
        ...

    def stream_reader(self, *, vendor: Vendor) -> StreamReader: ...

    def read_error(self, status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
        """Never raises: what cannot be read becomes a general message."""
        ...

    # -- as both at once
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """The caller's bytes with the vendor's model name, and with usage asked for where the vendor wants that; our
        own fields (``drop_params``, ...) taken out. Everything else stays as it was."""
        ...

    def tap(self, body: bytes, *, vendor: Vendor) -> Tapped:
        """Usage of a whole answer that passes through. Raises as :meth:`read_response`."""
        ...

    def relay(self, *, vendor: Vendor, wants_usage: bool, maker: str = "") -> Relay:
        """``maker`` is the mark of the provider (``ports.pins``) for strings that only it can read again."""
        ...
