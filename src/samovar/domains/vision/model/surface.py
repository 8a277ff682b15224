"""Vision as a surface of the gateway: it asks in the words of OpenAI's chat API, and answers in its own."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from samovar.domains.vision.model.cleanup import Cleaner, cleaned
from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import Head, StreamWriter, Surface
from samovar.ports.llm import ChatRequest, ChatResponse, Delta, PartOpened, Stopped, Text, TextDelta

NAME: Final = "vision"

WriteProblem = Callable[[SamovarError, str], tuple[int, bytes]]
"""An error and the request's id to a status and a problem document (RFC 9457)."""


class VisionAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A whole answer. ``usage`` and ``finish_reason`` are those of OpenAI's chat API; ``cost_credits`` is a decimal, ``null``
    where no price is known; ``prompt_id`` stands where a prompt of the registry was asked."""

    id: str
    model: str
    provider: str
    text: str
    usage: dict[str, Any]
    cost_credits: str | None
    finish_reason: str
    cleanup_applied: bool
    prompt_id: int | None = None


class _Choice(msgspec.Struct):
    finish_reason: str


class _Chat(msgspec.Struct):
    choices: tuple[_Choice, ...]
    usage: dict[str, Any]


class VisionSurface:
    """A :class:`~samovar.ports.dialect.Surface` for one call, or for none where only errors are told. ``clean`` makes what
    cleans an answer, ``None`` for one that is left as it is."""

    name = NAME
    forwarded_headers: frozenset[bytes] = frozenset()

    def __init__(
        self,
        *,
        chat: Surface,
        problem: WriteProblem,
        clean: Callable[[], Cleaner] | None = None,
        prompt_id: int | None = None,
    ) -> None:
        self._chat = chat
        self._problem = problem
        self._clean = clean
        self._prompt_id = prompt_id

    def read_head(self, body: bytes) -> Head:
        """Of what :func:`~samovar.domains.vision.model.asking.chat_body` made."""
        return self._chat.read_head(body)

    def read_request(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed`` for parameters that are not what OpenAI's API calls so."""
        return self._chat.read_request(body)

    def amended(self, body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
        """See :meth:`samovar.ports.dialect.Surface.amended`."""
        return self._chat.amended(body, max_output_tokens=max_output_tokens, drop_params=drop_params)

    def write_response(self, response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
        """A :class:`VisionAnswer` whose cost and model are not known yet."""
        said = msgspec.json.decode(self._chat.write_response(response), type=_Chat)
        text = "".join(part.text for part in response.parts if isinstance(part, Text))
        answer = VisionAnswer(
            id=response.id,
            model=response.model,
            provider="",
            text=text if self._clean is None else cleaned(text, self._clean),
            usage=said.usage,
            cost_credits=None,
            finish_reason=said.choices[0].finish_reason,
            cleanup_applied=self._clean is not None,
            prompt_id=self._prompt_id,
        )
        return msgspec.json.encode(answer)

    def stream_writer(self, request: ChatRequest) -> StreamWriter:
        """OpenAI's chunks, the words in them cleaned."""
        writer = self._chat.stream_writer(request)
        return writer if self._clean is None else _CleanWriter(writer, self._clean())

    def write_error(self, error: SamovarError, *, status: int, request_id: str) -> bytes:
        """A problem document."""
        return self._problem(error, request_id)[1]

    def keep_alive(self) -> bytes:
        """A comment."""
        return self._chat.keep_alive()


class _CleanWriter:
    """A :class:`~samovar.ports.dialect.StreamWriter` that cleans words on their way to another. The words of all parts are one
    text, as they are in a whole answer; thoughts and refusals are left as they are."""

    def __init__(self, writer: StreamWriter, cleaner: Cleaner) -> None:
        self._writer = writer
        self._cleaner = cleaner
        self._texts: set[int] = set()
        self._last: int | None = None

    def write(self, delta: Delta) -> bytes:
        """See :class:`~samovar.ports.dialect.StreamWriter`."""
        match delta:
            case TextDelta() if delta.index in self._texts:
                self._last = delta.index
                return self._said(self._cleaner.feed(delta.text))
            case PartOpened(part=Text() as part):
                self._texts.add(delta.index)
                self._last = delta.index
                opened = self._writer.write(PartOpened(delta.index, replace(part, text="")))
                return opened + self._said(self._cleaner.feed(part.text))
            case Stopped():
                return self._said(self._cleaner.end()) + self._writer.write(delta)
            case _:
                return self._writer.write(delta)

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """What is still held back, of a stream that did not say why it stopped; then what closes it."""
        return self._said(self._cleaner.end()) + self._writer.end(extra)

    def fail(self, error: SamovarError) -> bytes:
        """What is held back is not known to be fit for the caller."""
        return self._writer.fail(error)

    def _said(self, text: str) -> bytes:
        return self._writer.write(TextDelta(self._last, text)) if text and self._last is not None else b""
