"""A caller's request, read.

The model and whether it streams stand in the URL, so the result has ``model=""`` and ``stream=False``: whoever knows the URL
fills them in. ``systemInstruction`` becomes one ``SYSTEM`` message. Results of functions become messages of role ``TOOL``,
one for each, in their order. What the core has no field for stands in ``extensions`` under its own name;
``extensions["generationConfig"]`` holds what is left of that object, and where one tool is not a plain function
``extensions["tools"]`` keeps the whole list.
"""

from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw

from samovar.ports.dialect import Head
from samovar.ports.json_requests import UNREADABLE, flawed, malformed
from samovar.ports.llm import (
    ChatRequest,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from samovar.providers.gemini.calls import Calls
from samovar.providers.gemini.parts import read_part
from samovar.providers.gemini.reasoning import NATIVE
from samovar.providers.gemini.request.settings import Settings, read_settings
from samovar.providers.gemini.schema import TooDeep, to_json_schema
from samovar.providers.gemini.spelling import GENERATION_CONFIG, TOOL, TOOL_CONFIG, camel, in_camel_case
from samovar.providers.gemini.wire import ABSENT, DIALECT, said

_Filled = Annotated[list[Raw], Meta(min_length=1)]
_TIERS: Final = {"standard": "default", "unspecified": None}


class _HeadConfig(msgspec.Struct, rename="camel"):
    max_output_tokens: Annotated[int, Meta(ge=0)] | None = None
    candidate_count: int | None = None


class _Head(msgspec.Struct):
    """Both spellings of each field, so that the messages need not be gone through."""

    contents: _Filled
    generationConfig: Raw = ABSENT
    generation_config: Raw = ABSENT
    cachedContent: Raw = ABSENT
    cached_content: Raw = ABSENT
    drop_params: bool = False
    dropParams: bool = False


class _Content(msgspec.Struct):
    role: str | None = None
    parts: list[Raw] | None = None


class _CallingConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class _ToolConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    function_calling_config: _CallingConfig | None = None


class _Declaration(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    parameters_json_schema: Raw = ABSENT


class _Functions(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    function_declarations: list[_Declaration]


_HEAD: Final = msgspec.json.Decoder(_Head)
_CONTENTS: Final = msgspec.json.Decoder(Annotated[list[_Content], Meta(min_length=1)])
_INSTRUCTION: Final = msgspec.json.Decoder(_Content | str)
_LIST: Final = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_KNOWN: Final = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "model", "dropParams"}
)
_OTHERS: Final = frozenset({"safetySettings", "cachedContent", "labels", "store"})
"""Fields of the API's own that have no place in the core."""
_ROLES: Final = {None: Role.USER, "": Role.USER, "user": Role.USER, "model": Role.ASSISTANT, "function": Role.USER}
_MODES: Final = {"AUTO": ToolMode.AUTO, "VALIDATED": ToolMode.AUTO, "ANY": ToolMode.REQUIRED, "NONE": ToolMode.NONE}

_T = TypeVar("_T")


def read_head(body: bytes) -> Head:
    """``model`` is empty and ``stream`` false: they stand in the URL. Raises ``Malformed`` with the path of the first flaw."""
    try:
        head = _HEAD.decode(body)
        config = _head_config(head)
    except UNREADABLE as error:
        raise malformed(error, body=body) from error
    return Head(
        model="",
        wants_usage=True,
        max_output_tokens=config.max_output_tokens,
        choices=max(1, config.candidate_count or 1),
        drop_params=head.drop_params or head.dropParams,
        leans_on_kept=said(head.cachedContent) or said(head.cached_content),
    )


def _head_config(head: _Head) -> _HeadConfig:
    raw = head.generationConfig if said(head.generationConfig) else head.generation_config
    if not said(raw):
        return _HeadConfig()
    return msgspec.json.decode(in_camel_case(raw, GENERATION_CONFIG), type=_HeadConfig)


def read_request(body: bytes) -> ChatRequest:
    """``model`` is empty and ``stream`` false: see the module. Raises ``Malformed``, with a JSON path for the flaw."""
    try:
        fields = {_named(name): raw for name, raw in _FIELDS.decode(body).items()}
    except UNREADABLE as error:
        raise malformed(error, body=body) from error
    extensions = {name: raw for name, raw in fields.items() if name not in _KNOWN and said(raw)}
    tools = _tools(_field(fields, "tools", _LIST) or [], extensions)
    choice, strict = _tool_choice(fields.get("toolConfig", ABSENT), extensions)
    settings = _settings(fields.get("generationConfig", ABSENT))
    if said(settings.rest):
        extensions["generationConfig"] = settings.rest
    contents = _field(fields, "contents", _CONTENTS)
    if contents is None:
        raise flawed("$.contents", "a request needs contents")
    tier = (_field(fields, "serviceTier", _TEXT) or "").lower()
    return ChatRequest(
        model="",
        messages=(*_system(_field(fields, "systemInstruction", _INSTRUCTION)), *_messages(contents)),
        wants_usage=True,
        tools=tuple(msgspec.structs.replace(tool, strict=True) for tool in tools) if strict else tools,
        tool_choice=choice,
        service_tier=_TIERS.get(tier, tier or None),
        extensions=extensions,
        dialect=DIALECT,
        **settings.fields,
    )


def _named(name: str) -> str:
    """Google's own fields in one spelling; any other as the caller wrote it, who will hear of it."""
    spelt = camel(name)
    return spelt if spelt in _KNOWN or spelt in _OTHERS else name


def _field(fields: Mapping[str, Raw], name: str, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """``None`` for a field that is not said. Raises ``Malformed``."""
    raw = fields.get(name, ABSENT)
    if not said(raw):
        return None
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        raise malformed(error, where=f"$.{name}") from error


def _settings(raw: Raw) -> Settings:
    try:
        return read_settings(in_camel_case(raw, GENERATION_CONFIG) if said(raw) else raw)
    except (msgspec.MsgspecError, TooDeep) as error:
        raise malformed(error, where="$.generationConfig") from error


# --- messages ------------------------------------------------------------------------------------------------------


def _system(instruction: _Content | str | None) -> list[Message]:
    if isinstance(instruction, str):
        instruction = _Content(parts=[Raw(msgspec.json.encode({"text": instruction}))])
    if instruction is None or not instruction.parts:
        return []
    parts = _parts(instruction.parts, where="$.systemInstruction.parts", calls=Calls())
    return [Message(role=Role.SYSTEM, parts=tuple(parts))]


def _messages(contents: list[_Content]) -> list[Message]:
    read: list[Message] = []
    calls = Calls()
    for at, content in enumerate(contents):
        role = _ROLES.get(content.role)
        if role is None:
            where = f"$.contents[{at}].role"
            what = f"{content.role!r}: user and model are known"
            raise flawed(where, what)
        parts = _thoughts_joined(_parts(content.parts or [], where=f"$.contents[{at}].parts", calls=calls))
        for message in _split(role, parts):
            if read and read[-1].role is message.role is Role.ASSISTANT:
                read[-1] = Message(role=Role.ASSISTANT, parts=_joined(read[-1].parts, message.parts))
            else:
                read.append(message)
    return read


def _thoughts_joined(parts: list[Part]) -> list[Part]:
    """A stream's thinking, given back piece by piece in one content, is one thought with the signature at its end."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Reasoning) and isinstance(last, Reasoning) and last.text and last.origin is None:
            joined[-1] = msgspec.structs.replace(part, text=last.text + part.text)
        else:
            joined.append(part)
    return joined


def _joined(before: tuple[Part, ...], after: tuple[Part, ...]) -> tuple[Part, ...]:
    """One turn of the model in several contents: Google's chat clients give a stream back chunk by chunk. Words cut in two
    become whole again, and thinking gets the signature that came after it."""
    if not before or not after:
        return before + after
    last, first = before[-1], after[0]
    match last, first:
        case Text(), Text():
            return (*before[:-1], Text(text=last.text + first.text), *after[1:])
        case Reasoning(signature=None, encrypted=None, text=str(text)), Reasoning() if text:
            return (*before[:-1], msgspec.structs.replace(first, text=text + first.text), *after[1:])
    return before + after


def _parts(raws: list[Raw], *, where: str, calls: Calls) -> list[Part]:
    parts: list[Part] = []
    for at, raw in enumerate(raws):
        try:
            parts.extend(read_part(raw, origin=NATIVE, calls=calls))
        except msgspec.ValidationError as error:
            raise malformed(error, where=f"{where}[{at}]") from error
    return parts


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


# --- tools ---------------------------------------------------------------------------------------------------------


def _tools(given: list[Raw], extensions: dict[str, Raw]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for at, raw in enumerate(given):
        where = f"$.tools[{at}]"
        try:
            functions = msgspec.json.decode(in_camel_case(raw, TOOL), type=_Functions)
            tools.extend(_tool(declaration) for declaration in functions.function_declarations)
        except msgspec.ValidationError as error:
            if "unknown field" not in str(error) and "missing required field `functionDeclarations`" not in str(error):
                raise malformed(error, where=where) from error
            extensions["tools"] = Raw(msgspec.json.encode(given))
        except TooDeep as error:
            raise malformed(error, where=where) from error
    return tuple(tools)


def _tool(wire: _Declaration) -> Tool:
    schema = None
    if said(wire.parameters_json_schema):
        schema = wire.parameters_json_schema
    elif said(wire.parameters):
        schema = to_json_schema(wire.parameters)
    return Tool(name=wire.name, description=wire.description, schema=schema)


def _tool_choice(raw: Raw, extensions: dict[str, Raw]) -> tuple[ToolChoice | None, bool]:
    """The choice, and whether calls must fit their schemas. A choice among several named tools has no counterpart in the
    core and stays an extension."""
    if not said(raw):
        return None, False
    try:
        config = msgspec.json.decode(in_camel_case(raw, TOOL_CONFIG), type=_ToolConfig).function_calling_config
    except msgspec.ValidationError as error:
        if "unknown field" not in str(error):
            raise malformed(error, where="$.toolConfig") from error
        extensions["toolConfig"] = raw
        return None, False
    if config is None or config.mode in (None, "", "MODE_UNSPECIFIED"):
        return None, False
    mode = _MODES.get((config.mode or "").upper())
    if mode is None:
        where, what = (
            "$.toolConfig.functionCallingConfig.mode",
            f"{config.mode!r}: AUTO, ANY, NONE, VALIDATED are known",
        )
        raise flawed(where, what)
    names = config.allowed_function_names or []
    if mode is ToolMode.REQUIRED and len(names) == 1:
        return ToolChoice(mode=ToolMode.NAMED, name=names[0]), False
    if names:
        extensions["toolConfig"] = raw
    return ToolChoice(mode=mode), (config.mode or "").upper() == "VALIDATED"
