"""A vendor's chat chunks, read into deltas."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from samovar.kernel.errors import Malformed
from samovar.kernel.sse import SseEvent
from samovar.ports.dialect import BadAnswer, Vendor
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    Delta,
    Failed,
    MediaKind,
    Opened,
    PartClosed,
    PartOpened,
    Reasoning,
    Refusal,
    SignatureDelta,
    Stop,
    StopKind,
    Stopped,
    Text,
    TextDelta,
    UsageSeen,
)
from samovar.providers.openai.errors import error_event, is_error
from samovar.providers.openai.parts import detail_of, media_of_url, tool_call_of, words_of
from samovar.providers.openai.usage import stop_of, usage_of
from samovar.providers.openai.wire import Chunk, ChunkChoice, FunctionCallPart, ReasoningDetail, is_foreign, is_null
from samovar.providers.openai.wire import Delta as WireDelta

_Words: TypeAlias = Literal["text", "reasoning", "refusal"]
_DONE: Final = b"[DONE]"


class _Call:
    """A tool call that is being told."""

    def __init__(self, *, index: int, id: str) -> None:
        self.index = index
        self.id = id
        self.said: list[str] = []
        self.open = True

    @property
    def whole(self) -> bool:
        """Whether its arguments are a JSON document already."""
        try:
            msgspec.json.decode("".join(self.said))
        except (ValueError, RecursionError):
            return False
        return True


class ChatStreamReader:
    """Words are one part as long as their kind stays the same. A tool call is closed when the next part begins and its
    arguments are whole JSON; calls whose arguments interleave stay open side by side until the end. ``unknown_events`` counts
    what was skipped because this version does not know it."""

    def __init__(self, *, vendor: Vendor) -> None:
        self._quirks = vendor.quirks
        self._decoder = msgspec.json.Decoder(Chunk)
        self._next = 0
        self._words: tuple[_Words, int] | None = None
        self._thought = Reasoning()
        self._detail_index: int | None = None
        self._calls: dict[int, _Call] = {}
        self._tier: str | None = None
        self._opened = self._stopped = self._done = self._failed = False
        self.unknown_events = 0

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for what is no chunk. Nothing counts after ``[DONE]`` or an error."""
        if self._done or self._failed:
            return ()
        if event.data.strip() == _DONE:
            self._done = True
            return ()
        try:
            chunk = self._decoder.decode(event.data)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"the provider sent a chunk that cannot be read: {error}") from error
        if is_error(error=chunk.error, kind=chunk.object):
            return self._fail(event.data)
        if not chunk.choices and is_null(chunk.usage) and is_foreign(chunk.object):
            self.unknown_events += 1
            return ()
        return self._chunk(chunk)

    def end(self) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for a stream without ``finish_reason`` and ``[DONE]``."""
        if self._failed:
            return ()
        if not self._stopped and not (self._done and self._opened):
            raise BadAnswer("the provider's stream was cut: it ended without a finish_reason and without [DONE]")
        if self._stopped:
            return ()
        out = self._close_all()
        kind = StopKind.TOOL_CALLS if self._calls else StopKind.OTHER
        out.append(Stopped(stop=Stop(kind=kind)))
        return out

    def _fail(self, data: bytes) -> Sequence[Delta]:
        error = error_event(data)
        self._failed = True
        code = error.upstream_code or error.code
        return (Failed(status=error.upstream_status, code=code, message=error.detail),)

    def _chunk(self, chunk: Chunk) -> list[Delta]:
        out: list[Delta] = []
        choice = next((choice for choice in chunk.choices or () if choice.index == 0), None)
        # Azure's first chunk has neither id nor choices: the answer opens with the first that says who it is.
        if not self._opened and (chunk.id or choice is not None):
            self._opened = True
            out.append(Opened(id=chunk.id or "", model=chunk.model or "", created=int(chunk.created or 0)))
        self._tier = chunk.service_tier or self._tier
        if choice is not None:
            self._choice(choice, out)
        usage = usage_of(chunk.usage, quirks=self._quirks, service_tier=self._tier)
        if usage is not None:
            out.append(UsageSeen(usage=usage))
        return out

    def _choice(self, choice: ChunkChoice, out: list[Delta]) -> None:
        if choice.delta is not None:
            try:
                self._delta(choice.delta, out)
            except Malformed as error:
                raise BadAnswer(f"the provider sent a chunk that cannot be read: {error.detail}") from error
        # OpenRouter says it twice: with the last words, and with the usage.
        if choice.finish_reason is not None and not self._stopped:
            self._stopped = True
            out += self._close_all()
            out.append(Stopped(stop=stop_of(choice.finish_reason, matched=choice.stop_reason)))

    def _delta(self, delta: WireDelta, out: list[Delta]) -> None:
        thinking = delta.reasoning_content or delta.reasoning
        if delta.reasoning_details:
            for detail in delta.reasoning_details:
                self._detail(detail, out)
        elif thinking:
            self._say("reasoning", thinking, out)
        if delta.content:
            thought, text = words_of(delta.content)
            self._say("reasoning", thought, out)
            self._say("text", text, out)
        if delta.refusal:
            self._say("refusal", delta.refusal, out)
        for note in delta.annotations or ():
            out.append(AnnotationDelta(index=self._at("text", out), raw=note.copy()))
        for image in delta.images or ():
            media = media_of_url(image.image_url, kind=MediaKind.IMAGE, where="images")
            out += self._close_settled()
            out += [PartOpened(index=self._next, part=media), PartClosed(index=self._next)]
            self._next += 1
        for call in delta.tool_calls or ():
            self._call(call, out)

    # -- words

    def _at(self, kind: _Words, out: list[Delta]) -> int:
        """The index of the open part of that kind, opened if need be."""
        if self._words is not None and self._words[0] == kind:
            return self._words[1]
        out += self._close_settled()
        index, self._next = self._next, self._next + 1
        self._words = (kind, index)
        part: Text | Reasoning | Refusal
        if kind == "text":
            part = Text(text="")
        elif kind == "reasoning":
            part = self._thought
        else:
            part = Refusal(text="")
        out.append(PartOpened(index=index, part=part))
        return index

    def _say(self, kind: _Words, text: str, out: list[Delta]) -> None:
        if text:
            out.append(TextDelta(index=self._at(kind, out), text=text))

    def _detail(self, detail: ReasoningDetail, out: list[Delta]) -> None:
        self._begin_thought(detail, out)
        text = detail.text or detail.summary
        if text:
            self._say("reasoning", text, out)
        if detail.signature:
            out.append(SignatureDelta(index=self._at("reasoning", out), signature=detail.signature))
        if detail.data:
            out.append(SignatureDelta(index=self._at("reasoning", out), signature=detail.data, encrypted=True))

    def _begin_thought(self, detail: ReasoningDetail, out: list[Delta]) -> None:
        """A new entry is a new part, as :func:`~samovar.providers.openai.parts.reasoning_of` has it; pieces of one entry
        share their number, and the last may bring the signature alone."""
        new = replace(detail_of(detail), text="", signature=None, encrypted=None)
        old = self._thought
        # Later pieces may leave out what the first said.
        new = replace(new, id=new.id or old.id, origin=new.origin or old.origin) if self._same(detail) else new
        if new != old and self._words is not None and self._words[0] == "reasoning":
            out += self._close_words()
        self._thought, self._detail_index = new, detail.index

    def _same(self, detail: ReasoningDetail) -> bool:
        if detail.id is not None and self._thought.id is not None:
            return detail.id == self._thought.id
        return detail.index is None or detail.index == self._detail_index

    # -- tool calls

    def _call(self, piece: FunctionCallPart, out: list[Delta]) -> None:
        key = piece.index if piece.index is not None else self._unnumbered(piece)
        call = self._calls.get(key)
        if call is not None and not (piece.id and piece.id != call.id):
            self._argue(call, piece, out)
            return
        # A new call; some servers number all of theirs 0 and tell them apart by id.
        out += self._close_settled()
        whole = tool_call_of(piece, index=self._next)
        call = _Call(index=self._next, id=whole.id)
        self._next += 1
        self._calls[key] = call
        out.append(PartOpened(index=call.index, part=msgspec.structs.replace(whole, arguments="")))
        self._argue(call, piece, out)

    def _unnumbered(self, piece: FunctionCallPart) -> int:
        last = max(self._calls, default=-1)
        return last + 1 if piece.id or last < 0 else last

    def _argue(self, call: _Call, piece: FunctionCallPart, out: list[Delta]) -> None:
        text = piece.function.arguments if piece.function else None
        if not text:
            return
        if not call.open:
            if text.strip():
                raise BadAnswer("the provider added arguments to a tool call whose arguments were whole")
            return
        call.said.append(text)
        out.append(ArgumentsDelta(index=call.index, json=text))

    # -- ends

    def _close_settled(self) -> list[Delta]:
        """What a new part ends: the words, and tool calls that lack nothing."""
        out = self._close_words()
        for call in self._calls.values():
            if call.open and call.whole:
                call.open = False
                out.append(PartClosed(index=call.index))
        return out

    def _close_words(self) -> list[Delta]:
        if self._words is None:
            return []
        index = self._words[1]
        self._words = None
        return [PartClosed(index=index)]

    def _close_all(self) -> list[Delta]:
        out = self._close_words()
        for call in self._calls.values():
            if call.open:
                call.open = False
                out.append(PartClosed(index=call.index))
        return out
