"""Output items while a stream writes them: each knows the events of its own life."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    Delta,
    Reasoning,
    Refusal,
    SignatureDelta,
    Text,
    TextDelta,
    ToolCall,
)
from samovar.providers.openai_responses.content import Json, annotation, output_text
from samovar.providers.openai_responses.reasoning import item_json, sealed, written_id
from samovar.providers.openai_responses.response import call_json, item_id, message_json

Emit: TypeAlias = Callable[[str, Json], None]
"""Writes one event: its type and its fields."""


class Growing:
    """An item at its place in the output. As it stands here, one that comes whole: a trace of the vendor's own tool."""

    def __init__(self, at: int, whole: object | None) -> None:
        self.at = at
        self.whole = whole
        """The item as it is at its end; ``None`` before."""
        self._closed = False

    def begin(self, emit: Emit) -> None:
        """``output_item.added``."""
        emit("response.output_item.added", {"output_index": self.at, "item": self._first()})

    def more(self, delta: Delta, emit: Emit) -> None:
        """One delta."""

    def close(self, emit: Emit, *, status: str) -> None:
        """The ``done`` events; nothing if they were written."""
        if self._closed:
            return
        self._closed = True
        self.whole = self._last(emit, status)
        emit("response.output_item.done", {"output_index": self.at, "item": self.whole})

    def _first(self) -> object | None:
        return self.whole

    def _last(self, emit: Emit, status: str) -> object | None:
        return self.whole


class Call(Growing):
    """A call of a function."""

    def __init__(self, response_id: str, at: int, part: ToolCall) -> None:
        super().__init__(at, None)
        self._part = part
        self._id = item_id("fc", response_id, at)
        self._arguments: list[str] = []

    def begin(self, emit: Emit) -> None:
        super().begin(emit)
        if self._part.arguments:
            self._say(self._part.arguments, emit)

    def more(self, delta: Delta, emit: Emit) -> None:
        if isinstance(delta, ArgumentsDelta):
            self._say(delta.json, emit)

    def _say(self, text: str, emit: Emit) -> None:
        self._arguments.append(text)
        emit("response.function_call_arguments.delta", {"item_id": self._id, "output_index": self.at, "delta": text})

    def _first(self) -> object:
        return call_json(self._part, item_id=self._id, arguments="", status="in_progress")

    def _last(self, emit: Emit, status: str) -> object:
        arguments = "".join(self._arguments)
        emit(
            "response.function_call_arguments.done",
            {"item_id": self._id, "output_index": self.at, "name": self._part.name, "arguments": arguments},
        )
        return call_json(self._part, item_id=self._id, arguments=arguments, status=status)


class Thinking(Growing):
    """Thinking, as a summary of one part."""

    def __init__(self, response_id: str, at: int, part: Reasoning) -> None:
        super().__init__(at, None)
        self._part = part
        self._id = written_id(part, item_id("rs", response_id, at))
        self._words: list[str] = []
        self._signature = part.signature
        self._encrypted = part.encrypted

    def begin(self, emit: Emit) -> None:
        super().begin(emit)
        if self._part.text:
            self._say(self._part.text, emit)

    def more(self, delta: Delta, emit: Emit) -> None:
        match delta:
            case TextDelta():
                self._say(delta.text, emit)
            case SignatureDelta(encrypted=True):
                self._encrypted = delta.signature
            case SignatureDelta():
                self._signature = delta.signature

    def _at(self) -> Json:
        return {"item_id": self._id, "output_index": self.at, "summary_index": 0}

    def _say(self, text: str, emit: Emit) -> None:
        if not self._words:
            emit("response.reasoning_summary_part.added", {**self._at(), "part": _summary("")})
        self._words.append(text)
        emit("response.reasoning_summary_text.delta", {**self._at(), "delta": text})

    def _first(self) -> object:
        return item_json(item_id=self._id, text="", encrypted=None)

    def _last(self, emit: Emit, status: str) -> object:
        text = "".join(self._words)
        if self._words:
            emit("response.reasoning_summary_text.done", {**self._at(), "text": text})
            emit("response.reasoning_summary_part.done", {**self._at(), "part": _summary(text)})
        encrypted = sealed(self._part, signature=self._signature, encrypted=self._encrypted)
        return item_json(item_id=self._id, text=text, encrypted=encrypted)


def _summary(text: str) -> Json:
    return {"type": "summary_text", "text": text}


class Message(Growing):
    """Words and refusals in a row."""

    def __init__(self, response_id: str, at: int, phase: str | None) -> None:
        super().__init__(at, None)
        self.phase = phase
        self.id = item_id("msg", response_id, at)
        self._contents: list[Words] = []
        self._finished = False

    def words(self, part: Text | Refusal, emit: Emit) -> "Words":
        """The next entry of the content, begun."""
        words = Words(self, len(self._contents), part)
        self._contents.append(words)
        words.begin(emit)
        return words

    def finish(self, emit: Emit) -> None:
        """No more entries: the item ends as soon as all are closed."""
        self._finished = True
        self.settle(emit)

    def settle(self, emit: Emit) -> None:
        """Ends the item if nothing is open in it any more."""
        if self._finished and all(words.closed for words in self._contents):
            self.close(emit, status="completed")

    def _first(self) -> object:
        return message_json(item_id=self.id, phase=self.phase, status="in_progress")

    def _last(self, emit: Emit, status: str) -> object:
        for words in self._contents:
            words.close(emit, status=status)
        content = [words.whole for words in self._contents]
        return message_json(item_id=self.id, phase=self.phase, status=status, content=content)


class Words:
    """One entry of a message's content: a text or a refusal."""

    def __init__(self, message: Message, at: int, part: Text | Refusal) -> None:
        self._message = message
        self._at = at
        self._first = part
        self._kind = "output_text" if isinstance(part, Text) else "refusal"
        self._words: list[str] = []
        self._annotations: list[object] = []
        self.whole: Json = {}
        self.closed = False

    def begin(self, emit: Emit) -> None:
        """``content_part.added``, and the words that the part was opened with."""
        emit("response.content_part.added", {**self._place(), "part": self._entry("")})
        if self._first.text:
            self._say(self._first.text, emit)
        if isinstance(self._first, Text) and self._first.annotations is not None:
            for raw in msgspec.json.decode(self._first.annotations, type=list[msgspec.Raw]):
                self._annotate(raw, emit)

    def more(self, delta: Delta, emit: Emit) -> None:
        """One delta; citations of other dialects are left out."""
        match delta:
            case TextDelta():
                self._say(delta.text, emit)
            case AnnotationDelta():
                self._annotate(delta.raw, emit)

    def close(self, emit: Emit, *, status: str) -> None:
        """The ``done`` events; nothing if they were written. The message's own end may follow."""
        if self.closed:
            return
        self.closed = True
        text = "".join(self._words)
        self.whole = self._entry(text)
        field = "text" if self._kind == "output_text" else "refusal"
        further: Json = {"logprobs": []} if self._kind == "output_text" else {}
        emit(f"response.{self._kind}.done", {**self._place(), field: text, **further})
        emit("response.content_part.done", {**self._place(), "part": self.whole})
        self._message.settle(emit)

    def _place(self) -> Json:
        return {"item_id": self._message.id, "output_index": self._message.at, "content_index": self._at}

    def _say(self, text: str, emit: Emit) -> None:
        self._words.append(text)
        further: Json = {"logprobs": []} if self._kind == "output_text" else {}
        emit(f"response.{self._kind}.delta", {**self._place(), "delta": text, **further})

    def _annotate(self, raw: msgspec.Raw, emit: Emit) -> None:
        known = annotation(raw)
        if self._kind != "output_text" or known is None:
            return
        place = {**self._place(), "annotation_index": len(self._annotations)}
        self._annotations.append(known)
        emit("response.output_text.annotation.added", {**place, "annotation": known})

    def _entry(self, text: str) -> Json:
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {**output_text(Text(text=text)), "annotations": list(self._annotations)}
