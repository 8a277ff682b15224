"""A caller's request, read.

``instructions`` become the first ``SYSTEM`` message. Items of the model in a row (thinking, words, calls) become one
``ASSISTANT`` message, a tool's result a message of role ``TOOL``. Items that the core cannot hold are ``Opaque`` parts.
Settings without a field in the core stand in ``extensions`` under their own name, or in ``hints`` where the answer does
not depend on them; where one tool is not a plain function, ``extensions["tools"]`` keeps the whole list.
"""

from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw, Malformed
from samovar.ports.dialect import Head
from samovar.ports.json_requests import decode, flawed
from samovar.ports.llm import (
    ChatRequest,
    OutputFormat,
    ReasoningSettings,
    Tool,
    ToolChoice,
    ToolMode,
)
from samovar.ports.pins import may_hold_pins, unpinned
from samovar.providers.openai_responses.request.items import read_input
from samovar.providers.openai_responses.wire import ABSENT, DIALECT, OWN_FIELDS, Filled, Positive, Typed, begins, said


class _Head(msgspec.Struct):
    model: Filled
    input: Raw = ABSENT
    prompt: Raw = ABSENT
    previous_response_id: str | None = None
    conversation: Raw = ABSENT
    stream: bool | None = None
    max_output_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    drop_params: bool | None = None


class _Request(msgspec.Struct):
    """Every field that the core has a place for."""

    model: Filled
    input: Raw = ABSENT
    instructions: str | None = None
    stream: bool | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = ABSENT
    parallel_tool_calls: bool | None = None
    max_output_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    text: Raw = ABSENT
    reasoning: Raw = ABSENT
    user: str | None = None
    service_tier: str | None = None
    metadata: Raw = ABSENT


class _Function(msgspec.Struct):
    name: str
    type: str = "function"
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None


class _Named(msgspec.Struct):
    name: str


class _Format(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


_KNOWN: Final = frozenset(_Request.__struct_fields__) | OWN_FIELDS
_NEEDED: Final = ("input", "prompt", "previous_response_id", "conversation")
_MODES: Final = {f'"{mode.value}"'.encode(): mode for mode in (ToolMode.AUTO, ToolMode.NONE, ToolMode.REQUIRED)}
_HINTS: Final = frozenset(
    {
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "stream_options",
    }
)
"""Fields that leave the answer as it is, whatever they say."""
_HARMLESS: Final = {
    "background": (b"false",),
    "store": (b"false",),
    "truncation": (b'"disabled"',),
    "include": (b"[]", b'["reasoning.encrypted_content"]'),
}
"""Values that ask for what every vendor does. Thinking comes back sealed whether asked for or not."""
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])


def read_head(body: bytes) -> Head:
    """Raises ``Malformed`` with the path of the first flaw."""
    check_text(body)
    head = decode(body, _Head)
    leans_on_kept = bool(said(head.prompt) or head.previous_response_id or said(head.conversation))
    if not (said(head.input) or leans_on_kept):
        raise flawed("$.input", "this field is required")
    if said(head.input) and not (begins(head.input, b'"') or begins(head.input, b"[")):
        raise flawed("$.input", "expected a string or a list of items")
    return Head(
        model=head.model,
        stream=head.stream is True,
        wants_usage=True,
        max_output_tokens=head.max_output_tokens,
        drop_params=head.drop_params is True,
        makers=_makers(head) if may_hold_pins(body) else frozenset(),
        leans_on_kept=leans_on_kept,
    )


class _Before(msgspec.Struct):
    previous_response_id: str | None = None


class _Kept(msgspec.Struct):
    encrypted_content: str | None = None


def _makers(head: _Head) -> frozenset[str]:
    found = [head.previous_response_id]
    if begins(head.input, b"["):
        items = [
            raw
            for raw in decode(head.input, list[Raw], where="$.input")
            if begins(raw, b"{") and may_hold_pins(bytes(raw))
        ]
        found += [decode(raw, _Kept, where="$.input").encrypted_content for raw in items]
    return frozenset(pin.maker for text in found if text and (pin := unpinned(text)) is not None)


def check_text(body: bytes) -> None:
    """Raises ``Malformed`` for bytes that are not UTF-8: what is only skipped is not checked by the decoder."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise flawed("$", f"the body is not UTF-8: {error.reason} at byte {error.start}") from error


def read_request(body: bytes) -> ChatRequest:
    """Raises ``Malformed``, with a JSON path for the flaw."""
    check_text(body)
    ask = decode(body, _Request)
    fields = decode(body, dict[str, Raw])
    pin = unpinned(decode(body, _Before).previous_response_id or "") if may_hold_pins(body) else None
    if pin is not None:
        fields["previous_response_id"] = Raw(msgspec.json.encode(pin.text))
    extensions, hints = _others(fields)
    if not said(ask.input) and not any(name in extensions for name in _NEEDED):
        raise flawed("$.input", "this field is required")
    return ChatRequest(
        model=ask.model,
        messages=read_input(ask.input, instructions=ask.instructions),
        stream=ask.stream is True,
        wants_usage=True,
        tools=_tools(ask.tools or [], extensions),
        tool_choice=_tool_choice(ask.tool_choice, extensions),
        parallel_tool_calls=ask.parallel_tool_calls,
        max_output_tokens=ask.max_output_tokens,
        temperature=ask.temperature,
        top_p=ask.top_p,
        top_logprobs=ask.top_logprobs or None,
        output=_output(ask.text, extensions, hints),
        reasoning=_reasoning(ask.reasoning, extensions),
        user=ask.user,
        service_tier=ask.service_tier,
        metadata=ask.metadata.copy() if said(ask.metadata) and bytes(ask.metadata) != b"{}" else None,
        extensions=extensions,
        hints=hints,
        dialect=DIALECT,
    )


def _others(fields: dict[str, Raw]) -> tuple[dict[str, Raw], dict[str, Raw]]:
    extensions: dict[str, Raw] = {}
    hints: dict[str, Raw] = {}
    for name, raw in fields.items():
        if name in _KNOWN or not said(raw):
            continue
        compact = bytes(raw).replace(b" ", b"")
        kept = hints if name in _HINTS or compact in _HARMLESS.get(name, ()) else extensions
        kept[name] = raw.copy()
    return extensions, hints


# --- settings -------------------------------------------------------------------------------------------------------


def _tools(tools: list[Raw], extensions: dict[str, Raw]) -> tuple[Tool, ...]:
    functions: list[Tool] = []
    plain = True
    for at, raw in enumerate(tools):
        where = f"$.tools[{at}]"
        if decode(raw, Typed, where=where).type != "function":
            plain = False
            continue
        tool = decode(raw, _Function, where=where)
        further = {name for name, value in _FIELDS.decode(raw).items() if said(value)}
        plain = plain and further <= set(_Function.__struct_fields__)
        functions.append(
            Tool(
                name=tool.name,
                description=tool.description,
                schema=tool.parameters.copy() if said(tool.parameters) else None,
                strict=tool.strict,
            )
        )
    if not plain:  # the vendor's own tools, custom ones, functions with settings that others do not have
        extensions["tools"] = Raw(msgspec.json.encode(tools))
    return tuple(functions)


def _tool_choice(raw: Raw, extensions: dict[str, Raw]) -> ToolChoice | None:
    if not said(raw):
        return None
    if bytes(raw).startswith(b'"'):
        mode = _MODES.get(bytes(raw))
        if mode is None:
            raise flawed("$.tool_choice", "expected auto, none, required or an object")
        return ToolChoice(mode=mode)
    if decode(raw, Typed, where="$.tool_choice").type != "function":
        extensions["tool_choice"] = raw.copy()
        return None
    return ToolChoice(mode=ToolMode.NAMED, name=decode(raw, _Named, where="$.tool_choice").name)


def _output(raw: Raw, extensions: dict[str, Raw], hints: dict[str, Raw]) -> OutputFormat | None:
    if not said(raw):
        return None
    settings = {name: value for name, value in decode(raw, dict[str, Raw], where="$.text").items() if said(value)}
    asked = settings.pop("format", ABSENT)
    if settings:
        # How wordy the answer is to be: "medium" is what a model does anyway.
        usual = set(settings) == {"verbosity"} and bytes(settings["verbosity"]) == b'"medium"'
        (hints if usual else extensions)["text"] = Raw(msgspec.json.encode(settings))
    if not said(asked):
        return None
    form = decode(asked, _Format, where="$.text.format")
    match form.type:
        case "text":
            return OutputFormat(kind="text")
        case "json_object":
            return OutputFormat(kind="json_object")
        case "json_schema":
            return OutputFormat(
                kind="json_schema",
                name=form.name,
                description=form.description,
                schema=form.schema.copy() if said(form.schema) else None,
                strict=form.strict,
            )
    where = "$.text.format.type"
    raise Malformed(f"{where}: expected text, json_object or json_schema", flaws=[Flaw(where, "unknown format")])


def _reasoning(raw: Raw, extensions: dict[str, Raw]) -> ReasoningSettings | None:
    if not said(raw):
        return None
    settings = decode(raw, _Reasoning, where="$.reasoning")
    fields = decode(raw, dict[str, Raw], where="$.reasoning")
    further = {name: value for name, value in fields.items() if name not in _REASONING and said(value)}
    if further:
        extensions["reasoning"] = Raw(msgspec.json.encode(further))
    summary = settings.summary or settings.generate_summary
    if settings.effort is None and summary is None:
        return None
    return ReasoningSettings(
        enabled=False if settings.effort == "none" else None, effort=settings.effort, summary=summary
    )


_REASONING: Final = frozenset(_Reasoning.__struct_fields__)
