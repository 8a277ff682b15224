"""The items of a request's ``input``, read and written."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw

from samovar.ports.foreign_reasoning import lost_elsewhere, proofs_together
from samovar.ports.json_requests import decode, flawed, misfit
from samovar.ports.llm import (
    ChatRequest,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from samovar.providers.openai_responses.content import (
    Json,
    Refuse,
    annotations,
    input_media,
    input_text,
    read_content,
)
from samovar.providers.openai_responses.reasoning import NATIVE, made_by, read_item, write_asked
from samovar.providers.openai_responses.wire import (
    DIALECT,
    FunctionCall,
    FunctionOutput,
    Item,
    MessageItem,
    ReasoningItem,
    Typed,
    begins,
    said,
    says_more,
)

_ITEMS: Final = msgspec.json.Decoder(Item)
_MESSAGES: Final = msgspec.json.Decoder(MessageItem)
_SYSTEM: Final = (Role.SYSTEM, Role.DEVELOPER)
_ANSWERS: Final = ("_output", "_response")

# --- reading --------------------------------------------------------------------------------------------------------


def read_input(raw: Raw, *, instructions: str | None) -> tuple[Message, ...]:
    """Raises ``Malformed``, with a JSON path for the flaw."""
    messages: list[Message] = []
    if instructions:
        messages.append(Message(role=Role.SYSTEM, parts=(Text(text=instructions),)))
    if not said(raw):
        return tuple(messages)
    if begins(raw, b'"'):
        words = decode(raw, str, where="$.input")
        return (*messages, Message(role=Role.USER, parts=(Text(text=words),)))
    run: list[Part] = []
    for at, item in enumerate(decode(raw, list[Raw], where="$.input")):
        role, parts = _read_item(item, where=f"$.input[{at}]")
        if role is Role.ASSISTANT:
            run += parts
            continue
        if run:
            messages.append(Message(role=Role.ASSISTANT, parts=tuple(proofs_together(run))))
            run = []
        messages.append(Message(role=role, parts=tuple(parts)))
    if run:
        messages.append(Message(role=Role.ASSISTANT, parts=tuple(proofs_together(run))))
    return tuple(messages)


def _read_item(raw: Raw, *, where: str) -> tuple[Role, list[Part]]:
    kind = decode(raw, Typed, where=where).type
    try:
        if kind == "message" or (not kind and b'"role"' in bytes(raw)):
            return _message(_MESSAGES.decode(raw), where=where)
        if kind in _KNOWN:
            return _known(_ITEMS.decode(raw), where=where)
    except msgspec.ValidationError as error:
        if not says_more(str(error)):
            raise misfit(str(error), where=where) from error
        if kind in ("", "message"):
            return _whole_message(raw, where=where)
    role = Role.TOOL if kind.endswith(_ANSWERS) else Role.ASSISTANT
    return role, [Opaque(dialect=DIALECT, raw=raw.copy())]


def _message(item: MessageItem, *, where: str) -> tuple[Role, list[Part]]:
    return Role(item.role), [*read_content(item.content, where=f"{where}.content", phase=item.phase)]


class _Spoken(msgspec.Struct):
    role: str = ""


def _whole_message(raw: Raw, *, where: str) -> tuple[Role, list[Part]]:
    """A message with something in it that the core cannot hold stays in one piece."""
    role = decode(raw, _Spoken, where=where).role
    try:
        return Role(role), [Opaque(dialect=DIALECT, raw=raw.copy())]
    except ValueError:
        raise flawed(f"{where}.role", "expected user, assistant, system or developer") from None


def _known(item: Item, *, where: str) -> tuple[Role, list[Part]]:
    match item:
        case FunctionCall():
            return Role.ASSISTANT, [ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)]
        case ReasoningItem():
            return Role.ASSISTANT, [read_item(item, origin=NATIVE)]
        case FunctionOutput():
            content = read_content(item.output, where=f"{where}.output")
            return Role.TOOL, [
                ToolResult(
                    call_id=item.call_id,
                    content=tuple(part for part in content if not isinstance(part, Refusal)),
                    name=item.name,
                )
            ]


_KNOWN: Final = frozenset({"function_call", "function_call_output", "reasoning"})

# --- writing --------------------------------------------------------------------------------------------------------


class InputWriter:
    """Writes one request's items and tells ``refuse`` what cannot be said; the rest is written without it."""

    def __init__(self, *, request: ChatRequest, vendor: str, developer_role: bool, refuse: Refuse) -> None:
        self._native = request.dialect == DIALECT
        self._vendor = vendor
        self._developer = Role.DEVELOPER.value if developer_role else Role.SYSTEM.value
        self._refuse = refuse

    def items(self, messages: Iterable[Message], *, first: int = 0) -> list[object]:
        """``first`` is the index of the first message in the request."""
        written: list[object] = []
        for at, message in enumerate(messages, first):
            where = f"messages[{at}]"
            if message.name is not None:
                self._refuse(f"{where}.name", "a name of the speaker")
            if message.role is Role.ASSISTANT:
                written += self._assistant(message, where)
            else:
                written += self._others(message, where)
        return written

    # -- the model's own

    def _assistant(self, message: Message, where: str) -> list[object]:
        written: list[object] = []
        words: Json | None = None
        for at, part in enumerate(message.parts):
            if isinstance(part, Text | Refusal):
                phase = part.phase if isinstance(part, Text) else None
                if words is None or words.get("phase") != phase:
                    words = {"type": "message", "role": "assistant", "content": []}
                    if phase is not None:
                        words["phase"] = phase
                    written.append(words)
                words["content"].append(_said(part))
                continue
            words = None
            item = self._item(part, f"{where}.parts[{at}]")
            if item is not None:
                written.append(item)
        return written

    def _item(self, part: Part, where: str) -> object | None:
        match part:
            case ToolCall():
                return {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
            case Reasoning():
                return self._reasoning(part, where)
            case Opaque():
                return self._opaque(part, where)
            case ToolResult():
                return self._result(part, where)
        self._refuse(where, "a picture, sound or file among the model's own words")
        return None

    def _reasoning(self, part: Reasoning, where: str) -> object | None:
        if made_by(part, vendor=self._vendor):
            return write_asked(part)
        lost = lost_elsewhere(part)
        if lost is not None:
            self._refuse(where, lost)
        return None

    def _opaque(self, part: Opaque, where: str) -> object | None:
        if part.dialect == DIALECT:
            return part.raw
        self._refuse(where, f"a part that only {part.dialect} understands")
        return None

    # -- everybody else's

    def _others(self, message: Message, where: str) -> list[object]:
        written: list[object] = []
        content: list[object] = []
        role = self._developer if message.role is Role.DEVELOPER else message.role.value
        for at, part in enumerate(message.parts):
            place = f"{where}.parts[{at}]"
            if isinstance(part, ToolResult | ToolCall | Reasoning | Opaque):
                if content:
                    written.append({"type": "message", "role": role, "content": content})
                    content = []
                item = self._item(part, place)
                written += [] if item is None else [item]
                continue
            entry = self._entry(part, place, system=message.role in _SYSTEM)
            content += [] if entry is None else [entry]
        if content:
            spoken = Role.USER.value if message.role is Role.TOOL else role
            written.append({"type": "message", "role": spoken, "content": content})
        return written

    def _entry(self, part: Text | Refusal | Media, where: str, *, system: bool) -> Json | None:
        if isinstance(part, Text):
            return input_text(part, native=self._native)
        if isinstance(part, Refusal):
            return {"type": "input_text", "text": part.text}
        if system:
            self._refuse(where, "anything but text in a system message")
            return None
        return input_media(part, where=where, refuse=self._refuse, native=self._native)

    def _result(self, part: ToolResult, where: str) -> Json:
        """An error has no member of its own here; the result's text says what went wrong. A name is news to OpenAI."""
        output: object
        match part.content:
            case ():
                output = ""
            case (Text(cache=None) as only,):
                output = only.text
            case several:
                entries = [self._entry(item, f"{where}.content[{at}]", system=False) for at, item in enumerate(several)]
                output = [entry for entry in entries if entry is not None]
        item: Json = {"type": "function_call_output", "call_id": part.call_id, "output": output}
        if part.name is not None and self._native:
            item["name"] = part.name
        return item


def _said(part: Text | Refusal) -> Json:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": annotations(part.annotations)}
