"""A neutral request, written for a vendor that speaks OpenAI chat."""

from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import Quirks, Vendor
from samovar.ports.json_requests import Refusals
from samovar.ports.llm import ChatRequest, OutputFormat, ReasoningSettings, Tool, ToolMode
from samovar.providers.openai.request.messages_write import Json, MessageWriter
from samovar.providers.openai.wire import DIALECT, encode

_PLAIN: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "choices": "n",
    "user": "user",
    "service_tier": "service_tier",
    "metadata": "metadata",
    "parallel_tool_calls": "parallel_tool_calls",
}
"""Fields that mean the same in the core and on the wire."""
# What a vendor without the field does anyway: saying it less loudly changes nothing.
_DEFAULTS: Final[dict[str, object]] = {"n": 1, "parallel_tool_calls": True, "tool_choice": "auto", "logprobs": False}
_MERGED: Final = frozenset({"tools", "stream_options"})
# Thresholds of Anthropic's usual thinking budgets; OpenRouter maps efforts to shares of the bound in the same order.
_EFFORTS: Final = ((2_048, "low"), (12_288, "medium"))


def write_request(request: ChatRequest, *, vendor: Vendor, drop_params: bool) -> bytes:
    """Raises :class:`Unsupported` with a flaw for each thing that cannot be said, unless ``drop_params`` leaves them out."""
    quirks = vendor.quirks
    own = request.dialect == DIALECT
    writer = MessageWriter(quirks=quirks, own_dialect=own)
    body: Json = {"model": request.model, "messages": writer.messages(request)}
    refusals = Refusals(drop=drop_params)
    refusals.extend(writer.flaws)
    _settings(request, body)
    refusals.extend(_reasoning(request.reasoning, body, quirks=quirks))
    refusals.extend(_rejected(body, quirks=quirks))
    refusals.extend(_extensions(request, body, own=own, quirks=quirks))
    if request.max_output_tokens is not None:
        body[quirks.max_tokens_field] = request.max_output_tokens
    if request.stream:
        body["stream"] = True
        if quirks.stream_usage_option:
            body["stream_options"] = {**_options(request, own=own), "include_usage": True}
    refusals.settle(vendor.title)
    return encode(body)


def _settings(request: ChatRequest, body: Json) -> None:
    for ours, theirs in _PLAIN.items():
        value = getattr(request, ours)
        if value is not None:
            body[theirs] = value
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.tool_choice
    if choice is not None:
        named = {"type": "function", "function": {"name": choice.name}}
        body["tool_choice"] = named if choice.mode is ToolMode.NAMED else choice.mode.value
    if request.output is not None:
        body["response_format"] = _format(request.output)


def _tool(tool: Tool) -> Json:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema,
        "strict": tool.strict,
    }
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _format(output: OutputFormat) -> Json:
    if output.kind != "json_schema":
        return {"type": output.kind}
    schema = {
        "name": output.name or "answer",  # OpenAI wants a name; other surfaces have none to give
        "description": output.description,
        "schema": output.schema,
        "strict": output.strict,
    }
    said = {name: value for name, value in schema.items() if value is not None}
    return {"type": "json_schema", "json_schema": said}


def _rejected(body: Json, *, quirks: Quirks) -> list[Flaw]:
    flaws = []
    wire_to_ours = {theirs: ours for ours, theirs in _PLAIN.items()}
    for name in sorted(quirks.rejects & body.keys()):
        value = body.pop(name)
        if name not in _DEFAULTS or value != _DEFAULTS[name]:
            flaws.append(Flaw(wire_to_ours.get(name, name), "the provider does not take it"))
    shape = body.get("response_format")
    if isinstance(shape, dict) and shape.get("type") in quirks.rejects:
        del body["response_format"]
        flaws.append(Flaw("output", f"the provider cannot promise {shape['type']}"))
    return flaws


def _extensions(request: ChatRequest, body: Json, *, own: bool, quirks: Quirks) -> list[Flaw]:
    """Our own dialect's further fields as they came; another's cannot be said here."""
    flaws = []
    for name, raw in request.extensions.items():
        if not own:
            flaws.append(Flaw(name, f"a field that only {request.dialect or 'another dialect'} understands"))
        elif name in quirks.rejects:
            flaws.append(Flaw(name, "the provider does not take it"))
        elif name not in _MERGED:
            body[name] = raw
    others = request.extensions.get("tools") if own else None
    if others is not None:
        functions = body.get("tools")
        body["tools"] = [
            *(functions if isinstance(functions, list) else []),
            *msgspec.json.decode(others, type=list[Raw]),
        ]
    return flaws


def _options(request: ChatRequest, *, own: bool) -> dict[str, Raw]:
    raw = request.extensions.get("stream_options") if own else None
    return {} if raw is None else msgspec.json.decode(raw, type=dict[str, Raw])


def _reasoning(settings: ReasoningSettings | None, body: Json, *, quirks: Quirks) -> list[Flaw]:
    if settings is None or settings == ReasoningSettings():
        return []
    switch = quirks.reasoning_switch
    if switch == "effort":
        effort = _effort(settings)
        if effort is not None:
            body["reasoning_effort"] = effort
    elif switch == "thinking":
        off = settings.enabled is False or settings.effort == "none"
        body["thinking"] = {"type": "disabled" if off else "enabled"}
    elif switch == "openrouter":
        body["reasoning"] = _openrouter(settings)
    elif settings.enabled is not False:
        return [Flaw("reasoning", "the provider has no switch for it")]
    return []


def _effort(settings: ReasoningSettings) -> str | None:
    """A budget becomes the effort it is usual for; mere ``enabled`` leaves the model's own default."""
    if settings.effort is not None:
        return settings.effort
    if settings.enabled is False:
        return "none"
    if settings.budget_tokens is None:
        return None
    return next((word for bound, word in _EFFORTS if settings.budget_tokens <= bound), "high")


def _openrouter(settings: ReasoningSettings) -> Json:
    if settings.enabled is False:
        return {"enabled": False}
    if settings.budget_tokens is not None:
        return {"max_tokens": settings.budget_tokens}
    return {"effort": settings.effort} if settings.effort is not None else {"enabled": True}
