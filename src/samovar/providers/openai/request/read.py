"""A caller's chat request, read into the neutral core."""

from typing import Final

from msgspec import Raw

from samovar.ports.json_requests import check_text, decode
from samovar.ports.llm import (
    CacheMark,
    ChatRequest,
    OutputFormat,
    ReasoningSettings,
    Tool,
    ToolChoice,
    ToolMode,
)
from samovar.providers.openai.request.messages_read import read_message
from samovar.providers.openai.wire import (
    DIALECT,
    OWN_FIELDS,
    FunctionTool,
    NamedChoice,
    RequestBody,
    SchemaFormat,
    ThinkingSwitch,
    Typed,
    encode,
    given,
    is_null,
)

_PLACED: Final = frozenset(RequestBody.__struct_fields__) | OWN_FIELDS
_MODES: Final = {f'"{mode.value}"'.encode(): mode for mode in (ToolMode.AUTO, ToolMode.NONE, ToolMode.REQUIRED)}


def read_request(body: bytes) -> ChatRequest:
    """Raises ``Malformed``. Fields that the core has no place for stand in ``extensions``."""
    if not body.isascii():
        check_text(body)
    ask = decode(body, RequestBody)
    fields = decode(body, dict[str, Raw])
    extensions = {name: raw.copy() for name, raw in fields.items() if name not in _PLACED and not is_null(raw)}
    tools = _tools(ask.tools or [], extensions)
    return ChatRequest(
        model=ask.model,
        messages=tuple(read_message(raw, where=f"$.messages[{index}]") for index, raw in enumerate(ask.messages)),
        stream=ask.stream is True,
        wants_usage=_wants_usage(ask, fields, extensions),
        tools=tools,
        tool_choice=_tool_choice(given(ask.tool_choice), extensions),
        parallel_tool_calls=ask.parallel_tool_calls,
        max_output_tokens=ask.max_completion_tokens or ask.max_tokens,
        temperature=ask.temperature,
        top_p=ask.top_p,
        top_k=ask.top_k,
        stop=(ask.stop,) if isinstance(ask.stop, str) else tuple(ask.stop or ()),
        seed=ask.seed,
        presence_penalty=ask.presence_penalty,
        frequency_penalty=ask.frequency_penalty,
        logprobs=ask.logprobs,
        top_logprobs=ask.top_logprobs,
        choices=ask.n,
        output=_output(given(ask.response_format), extensions),
        reasoning=_reasoning(ask, extensions),
        user=ask.user,
        service_tier=ask.service_tier,
        metadata=None if ask.metadata is None else fields["metadata"].copy(),
        extensions=extensions,
        dialect=DIALECT,
    )


def _wants_usage(ask: RequestBody, fields: dict[str, Raw], extensions: dict[str, Raw]) -> bool:
    if ask.stream_options is None:
        return False
    options = decode(fields["stream_options"], dict[str, Raw], where="$.stream_options")
    options.pop("include_usage", None)
    if options:
        extensions["stream_options"] = Raw(encode(options))
    return ask.stream_options.include_usage is True


def _tools(tools: list[Raw], extensions: dict[str, Raw]) -> tuple[Tool, ...]:
    functions: list[Tool] = []
    others: list[Raw] = []
    for index, raw in enumerate(tools):
        where = f"$.tools[{index}]"
        if decode(raw, Typed, where=where).type not in ("", "function"):
            others.append(raw)
            continue
        tool = decode(raw, FunctionTool, where=where)
        functions.append(
            Tool(
                name=tool.function.name,
                description=tool.function.description,
                schema=given(tool.function.parameters),
                strict=tool.function.strict,
                cache=None if tool.cache_control is None else CacheMark(ttl=tool.cache_control.ttl),
            )
        )
    if others:  # custom and server tools, which the core has no place for
        extensions["tools"] = Raw(encode(others))
    return tuple(functions)


def _tool_choice(raw: Raw | None, extensions: dict[str, Raw]) -> ToolChoice | None:
    if raw is None:
        return None
    mode = _MODES.get(bytes(raw))
    if mode is not None:
        return ToolChoice(mode=mode)
    if decode(raw, Typed, where="$.tool_choice").type != "function":
        extensions["tool_choice"] = raw
        return None
    name = decode(raw, NamedChoice, where="$.tool_choice").function.name
    return ToolChoice(mode=ToolMode.NAMED, name=name)


def _output(raw: Raw | None, extensions: dict[str, Raw]) -> OutputFormat | None:
    if raw is None:
        return None
    kind = decode(raw, Typed, where="$.response_format").type
    if kind == "text":
        return OutputFormat(kind="text")
    if kind == "json_object":
        return OutputFormat(kind="json_object")
    if kind != "json_schema":
        extensions["response_format"] = raw
        return None
    said = decode(raw, SchemaFormat, where="$.response_format").json_schema
    return OutputFormat(
        kind="json_schema",
        name=said.name,
        description=said.description,
        schema=given(said.schema),
        strict=said.strict,
    )


def _reasoning(ask: RequestBody, extensions: dict[str, Raw]) -> ReasoningSettings | None:
    """``reasoning_effort`` (OpenAI), else ``thinking`` (BigModel) or ``reasoning`` (OpenRouter) where we know all of it."""
    if ask.reasoning_effort is not None:
        return ReasoningSettings(enabled=False if ask.reasoning_effort == "none" else None, effort=ask.reasoning_effort)
    for name in ("thinking", "reasoning"):
        raw = extensions.get(name)
        if raw is None or not set(decode(raw, dict[str, Raw], where=f"$.{name}")) <= _SWITCH:
            continue
        switch = decode(extensions.pop(name), ThinkingSwitch, where=f"$.{name}")
        enabled = switch.enabled if switch.type is None else switch.type != "disabled"
        budget = switch.budget_tokens or switch.max_tokens
        return ReasoningSettings(enabled=enabled, effort=switch.effort, budget_tokens=budget)
    return None


_SWITCH: Final = frozenset(ThinkingSwitch.__struct_fields__)
