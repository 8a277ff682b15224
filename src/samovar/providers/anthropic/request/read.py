"""A caller's request, read.

The ``system`` field and ``system`` messages become ``SYSTEM`` messages where they stand. A tool's result becomes
a message of role ``TOOL``, one for each result, in the order of the blocks. What the core has no field for stands in
``extensions`` under its own name; where one tool is not a plain function, ``extensions["tools"]`` keeps the whole list.
"""

from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw

from samovar.ports.dialect import Head
from samovar.ports.foreign_reasoning import proofs_together
from samovar.ports.json_requests import UNREADABLE, flawed, malformed
from samovar.ports.llm import (
    ChatRequest,
    Message,
    OutputFormat,
    Part,
    ReasoningSettings,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from samovar.providers.anthropic.blocks import read_block, read_mark
from samovar.providers.anthropic.reasoning import NATIVE
from samovar.providers.anthropic.wire import ABSENT, DIALECT, OWN_FIELDS, CacheControl, said

_Name = Annotated[str, Meta(min_length=1)]
# 0 is allowed: it fills the prompt cache without an answer.
_MaxTokens = Annotated[int, Meta(ge=0)]
_Filled = Annotated[list[Raw], Meta(min_length=1)]


class _Head(msgspec.Struct):
    model: _Name
    messages: _Filled
    max_tokens: _MaxTokens
    stream: bool = False
    drop_params: bool = False


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[Raw]


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    type: Literal["custom"] | None = None


class _Thinking(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class _Format(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["json_schema"]
    schema: Raw


class _OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    effort: str | None = None
    format: _Format | None = None


class _Request(msgspec.Struct):
    model: _Name
    messages: Annotated[list[_Message], Meta(min_length=1)]
    max_tokens: _MaxTokens
    stream: bool = False
    system: str | list[Raw] | None = None
    tools: list[Raw] | None = None
    tool_choice: _ToolChoice | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    thinking: Raw = ABSENT
    output_config: Raw = ABSENT
    output_format: Raw = ABSENT
    metadata: Raw = ABSENT
    service_tier: str | None = None


class _Metadata(msgspec.Struct, forbid_unknown_fields=True):
    user_id: str | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)
_REQUEST: Final = msgspec.json.Decoder(_Request)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_KNOWN: Final = frozenset(_Request.__struct_fields__) | OWN_FIELDS
_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_MODES: Final = {
    "auto": ToolMode.AUTO,
    "any": ToolMode.REQUIRED,
    "tool": ToolMode.NAMED,
    "none": ToolMode.NONE,
}
SUMMARIES: Final = {"summarized": "auto", "omitted": "omitted"}
"""``thinking.display`` in the core's words."""

_T = TypeVar("_T")


def read_head(body: bytes) -> Head:
    """Raises ``Malformed`` with the path of the first flaw."""
    try:
        head = _HEAD.decode(body)
    except UNREADABLE as error:
        raise malformed(error, body=body) from error
    return Head(
        model=head.model,
        stream=head.stream,
        wants_usage=True,
        max_output_tokens=head.max_tokens,
        drop_params=head.drop_params,
    )


def read_request(body: bytes) -> ChatRequest:
    """Raises ``Malformed``, with a JSON path for the flaw."""
    try:
        wire = _REQUEST.decode(body)
        fields = _FIELDS.decode(body)
    except UNREADABLE as error:
        raise malformed(error, body=body) from error
    extensions = {name: raw for name, raw in fields.items() if name not in _KNOWN and said(raw)}
    tools = _tools(wire, extensions)
    reasoning, output = _thinking_and_output(wire, extensions)
    user, metadata = _metadata(wire.metadata)
    return ChatRequest(
        model=wire.model,
        messages=(*_system(wire.system), *_messages(wire.messages)),
        stream=wire.stream,
        wants_usage=True,
        tools=tools,
        tool_choice=_tool_choice(wire.tool_choice),
        parallel_tool_calls=_parallel(wire.tool_choice),
        max_output_tokens=wire.max_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        stop=tuple(wire.stop_sequences or ()),
        output=output,
        reasoning=reasoning,
        user=user,
        # The core speaks of "default" where Anthropic says that priority capacity must not be used.
        service_tier="default" if wire.service_tier == "standard_only" else wire.service_tier,
        metadata=metadata,
        extensions=extensions,
        dialect=DIALECT,
    )


# --- messages ------------------------------------------------------------------------------------------------------


def _parts(blocks: list[Raw], *, where: str) -> list[Part]:
    parts = []
    for at, raw in enumerate(blocks):
        try:
            parts.append(read_block(raw, origin=NATIVE))
        except msgspec.ValidationError as error:
            raise malformed(error, where=f"{where}[{at}]") from error
    return parts


def _system(system: str | list[Raw] | None) -> list[Message]:
    if not system:
        return []
    parts: list[Part] = [Text(text=system)] if isinstance(system, str) else _parts(system, where="$.system")
    return [Message(role=Role.SYSTEM, parts=tuple(parts))]


def _messages(messages: list[_Message]) -> list[Message]:
    read: list[Message] = []
    for at, message in enumerate(messages):
        role = _ROLES[message.role]
        if isinstance(message.content, str):
            read.append(Message(role=role, parts=(Text(text=message.content),)))
            continue
        parts = _parts(message.content, where=f"$.messages[{at}].content")
        read.extend(_split(role, proofs_together(parts)))
    return read


def _split(role: Role, parts: list[Part]) -> list[Message]:
    """Results of tools out of a user's message, everything in its order."""
    messages: list[Message] = []
    run: list[Part] = []
    for part in parts:
        if not isinstance(part, ToolResult):
            run.append(part)
            continue
        if run:
            messages.append(Message(role=role, parts=tuple(run)))
            run = []
        messages.append(Message(role=Role.TOOL, parts=(part,)))
    if run or not messages:
        messages.append(Message(role=role, parts=tuple(run)))
    return messages


# --- settings ------------------------------------------------------------------------------------------------------


def _tools(wire: _Request, extensions: dict[str, Raw]) -> tuple[Tool, ...]:
    tools = []
    for at, raw in enumerate(wire.tools or ()):
        tool = _decode_or_keep(raw, _Tool, where=f"$.tools[{at}]")
        if tool is None:
            extensions["tools"] = Raw(msgspec.json.encode(wire.tools))
            continue
        tools.append(
            Tool(
                name=tool.name,
                description=tool.description,
                schema=tool.input_schema,
                strict=tool.strict,
                cache=read_mark(tool.cache_control),
            )
        )
    return tuple(tools)


def _decode_or_keep(raw: Raw, kind: type[_T], *, where: str) -> _T | None:
    """``None`` for a value that says more than ``kind`` holds. Raises ``Malformed`` for a wrong one."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        if "unknown field" in text or ("Invalid enum value" in text and text.endswith(".type`")):
            return None
        if "missing required field" in text and _has_type(raw):
            return None
        raise malformed(error, where=where) from error


class _Typed(msgspec.Struct):
    type: str | None = None


def _has_type(raw: Raw) -> bool:
    """A server tool names its type and may lack what a function must have."""
    return msgspec.json.decode(raw, type=_Typed).type not in (None, "custom")


def _tool_choice(choice: _ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    mode = _MODES[choice.type]
    if mode is ToolMode.NAMED and not choice.name:
        raise flawed("$.tool_choice.name", "a choice of type `tool` names the tool")
    return ToolChoice(mode=mode, name=choice.name if mode is ToolMode.NAMED else None)


def _parallel(choice: _ToolChoice | None) -> bool | None:
    if choice is None or choice.disable_parallel_tool_use is None:
        return None
    return not choice.disable_parallel_tool_use


def _thinking_and_output(
    wire: _Request, extensions: dict[str, Raw]
) -> tuple[ReasoningSettings | None, OutputFormat | None]:
    thinking = _setting(wire.thinking, "thinking", _Thinking, extensions)
    config = _setting(wire.output_config, "output_config", _OutputConfig, extensions)
    # The name that the beta of structured outputs gave to ``output_config.format``.
    form = _setting(wire.output_format, "output_format", _Format, extensions)
    if config is not None and config.format is not None:
        form = config.format
    effort = None if config is None else config.effort
    output = None if form is None else OutputFormat(kind="json_schema", schema=form.schema)
    if thinking is None:
        return (None if effort is None else ReasoningSettings(effort=effort)), output
    reasoning = ReasoningSettings(
        enabled=thinking.type != "disabled",
        effort=effort,
        budget_tokens=thinking.budget_tokens,
        summary=SUMMARIES.get(thinking.display or ""),
    )
    return reasoning, output


def _setting(raw: Raw, name: str, kind: type[_T], extensions: dict[str, Raw]) -> _T | None:
    """A setting of known shape; any other shape is kept as an extension."""
    if not said(raw):
        return None
    setting = _decode_or_keep(raw, kind, where=f"$.{name}")
    if setting is None:
        extensions[name] = raw
    return setting


def _metadata(raw: Raw) -> tuple[str | None, Raw | None]:
    if not said(raw):
        return None, None
    metadata = _decode_or_keep(raw, _Metadata, where="$.metadata")
    return (None, raw) if metadata is None else (metadata.user_id, None)
