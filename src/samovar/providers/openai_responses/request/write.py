"""A neutral request, written for a vendor that speaks the Responses API.

* The first system message becomes ``instructions`` for a caller of this dialect, who wrote it so; for others it is an item
  of the input, as later ones are.
* A caller of another dialect never asked that the vendor keep the call: ``store`` is ``false`` then, and thinking comes
  encrypted, so that it can come back.
"""

from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import Unsupported, Vendor
from samovar.ports.json_requests import Refusals
from samovar.ports.llm import (
    ChatRequest,
    Message,
    OutputFormat,
    ReasoningSettings,
    Role,
    Text,
    Tool,
    ToolMode,
)
from samovar.providers.openai_responses.content import Json, Refuse
from samovar.providers.openai_responses.request.items import InputWriter
from samovar.providers.openai_responses.wire import DIALECT

_PLAIN: Final = (
    "max_output_tokens",
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
    "service_tier",
    "metadata",
)
"""Fields that mean the same in the core and on the wire."""
# What a vendor without the field does anyway: saying it less loudly changes nothing.
_DEFAULTS: Final[dict[str, object]] = {"parallel_tool_calls": True, "tool_choice": "auto", "service_tier": "auto"}
_MERGED: Final = frozenset({"tools", "text", "reasoning"})
_EMPTY_SCHEMA: Final = Raw(b'{"type":"object","properties":{}}')
# Thresholds of Anthropic's usual thinking budgets.
_EFFORTS: Final = ((2_048, "low"), (12_288, "medium"))
_SUMMARIES: Final = frozenset({"auto", "concise", "detailed"})


def write_request(request: ChatRequest, *, vendor: Vendor, drop_params: bool) -> bytes:
    """The body. Raises :class:`Unsupported` with one flaw for each thing that cannot be said."""
    refusals = Refusals(drop=drop_params)
    native = request.dialect == DIALECT
    body: Json = {"model": request.model}
    _conversation(request, body, vendor=vendor, refuse=refusals.note, native=native)
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    _tools(request, body, native=native)
    _text(request, body, native=native)
    _reasoning(request, body, native=native)
    _sampling(request, body, refusals.note, native=native)
    if native:
        others = {**request.extensions, **request.hints}
        body.update({name: raw for name, raw in others.items() if name not in _MERGED})
    else:
        for name in request.extensions:
            refusals.note(name, f"a field that only {request.dialect or 'another dialect'} understands")
        _private(request, body)
    if request.stream:
        body["stream"] = True
    _reject(body, vendor, refusals.note)
    refuse_background(body.get("background"), stream=request.stream)
    refusals.settle(vendor.title)
    if not native and "input" not in body:
        raise Unsupported(
            f"{vendor.title} needs at least one message.", flaws=[Flaw("messages", "nothing that can be sent")]
        )
    return msgspec.json.encode(body)


def refuse_background(background: object, *, stream: bool) -> None:
    """Raises :class:`Unsupported`: an answer that is fetched later would pass us by, and so would what it costs."""
    if not stream and isinstance(background, Raw) and bytes(background) == b"true":
        raise Unsupported(
            "Background answers can only be streamed through this gateway: set stream, or leave out background.",
            flaws=[Flaw("$.background", "only with stream")],
        )


def _conversation(request: ChatRequest, body: Json, *, vendor: Vendor, refuse: Refuse, native: bool) -> None:
    messages = request.messages
    if native and messages and (words := _instructions(messages[0])) is not None:
        body["instructions"] = words
        messages = messages[1:]
    writer = InputWriter(
        request=request, vendor=vendor.name, developer_role=vendor.quirks.developer_role, refuse=refuse
    )
    items = writer.items(messages, first=len(request.messages) - len(messages))
    if items:
        body["input"] = items


def _instructions(message: Message) -> str | None:
    match message:
        case Message(role=Role.SYSTEM, parts=(Text(cache=None) as only,), name=None):
            return only.text
    return None


def _tools(request: ChatRequest, body: Json, *, native: bool) -> None:
    whole = request.extensions.get("tools") if native else None
    if whole is not None:
        body["tools"] = whole
    elif request.tools:
        body["tools"] = [_tool(tool, native=native) for tool in request.tools]
    elif not native:
        # Without tools there is nothing to choose, and nothing to call side by side.
        body.pop("parallel_tool_calls", None)
        return
    choice = request.tool_choice
    if choice is not None:
        named = {"type": "function", "name": choice.name}
        body["tool_choice"] = named if choice.mode is ToolMode.NAMED else choice.mode.value


def _tool(tool: Tool, *, native: bool) -> Json:
    wire: Json = {"type": "function", "name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.schema is not None or not native:
        wire["parameters"] = _EMPTY_SCHEMA if tool.schema is None else tool.schema
    if tool.strict is not None:
        wire["strict"] = tool.strict
    elif not native:
        # Strict is what this API does when nothing is said; all others do not.
        wire["strict"] = False
    return wire


def _text(request: ChatRequest, body: Json, *, native: bool) -> None:
    text: Json = {}
    if request.output is not None:
        text["format"] = _format(request.output)
    text.update(_kept(request, "text") if native else {})
    if text:
        body["text"] = text


def _format(output: OutputFormat) -> Json:
    if output.kind != "json_schema":
        return {"type": output.kind}
    fields = {
        "name": output.name or "answer",  # the API wants a name; other surfaces have none to give
        "description": output.description,
        "schema": _EMPTY_SCHEMA if output.schema is None else output.schema,
        "strict": output.strict,
    }
    return {"type": "json_schema", **{name: value for name, value in fields.items() if value is not None}}


def _kept(request: ChatRequest, name: str) -> dict[str, Raw]:
    """What the core could not hold of one of our own objects."""
    kept: dict[str, Raw] = {}
    for held in (request.extensions, request.hints):
        if name in held:
            kept.update(msgspec.json.decode(held[name], type=dict[str, Raw]))
    return kept


def _reasoning(request: ChatRequest, body: Json, *, native: bool) -> None:
    reasoning: Json = {}
    settings = request.reasoning
    if settings is not None:
        effort = _effort(settings)
        if effort is not None:
            reasoning["effort"] = effort
        if settings.summary in _SUMMARIES:
            reasoning["summary"] = settings.summary
        elif not native and settings.summary is None and settings.enabled is True:
            # A caller who switches thinking on in so many words (Anthropic's) sees it, unless it asks not to.
            reasoning["summary"] = "auto"
    reasoning.update(_kept(request, "reasoning") if native else {})
    if reasoning:
        body["reasoning"] = reasoning


def _effort(settings: ReasoningSettings) -> str | None:
    """A budget becomes the effort it is usual for; mere ``enabled`` leaves the model's own default."""
    if settings.effort is not None:
        return settings.effort
    if settings.enabled is False:
        return "none"
    if settings.budget_tokens is None:
        return None
    return next((word for bound, word in _EFFORTS if settings.budget_tokens <= bound), "high")


def _sampling(request: ChatRequest, body: Json, refuse: Refuse, *, native: bool) -> None:
    if native and request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs
    # Values that ask for nothing are no loss.
    asked: tuple[tuple[str, object, bool], ...] = (
        ("stop", list(request.stop), bool(request.stop)),
        ("top_k", request.top_k, request.top_k is not None),
        ("n", request.choices, request.choices not in (None, 1)),
        ("seed", request.seed, request.seed is not None),
        ("presence_penalty", request.presence_penalty, bool(request.presence_penalty)),
        ("frequency_penalty", request.frequency_penalty, bool(request.frequency_penalty)),
        ("logprobs", request.logprobs, bool(request.logprobs)),
        ("top_logprobs", request.top_logprobs, bool(request.top_logprobs) and not native),
    )
    for name, value, wanted in asked:
        if wanted:
            refuse(name, f"{value}: there is no such setting")


def _private(request: ChatRequest, body: Json) -> None:
    body["store"] = False
    settings = request.reasoning
    # Models that do not reason refuse this one; whoever sets how to reason has chosen one that does.
    if settings is not None and settings.enabled is not False and settings.effort != "none":
        body["include"] = ["reasoning.encrypted_content"]


def _reject(body: Json, vendor: Vendor, refuse: Refuse) -> None:
    for name in sorted(vendor.quirks.rejects & body.keys()):
        value = body.pop(name)
        if name not in _DEFAULTS or value != _DEFAULTS[name]:
            refuse(name, f"{vendor.title} does not take it")
    text = body.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if isinstance(form, dict) and form["type"] in vendor.quirks.rejects:
        del body["text"]["format"]
        refuse("output", f"{vendor.title} cannot promise {form['type']}")
