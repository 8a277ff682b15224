"""A neutral request, written for Anthropic.

* ``SYSTEM`` and ``DEVELOPER`` messages at the head become ``system``; later ones stay where they are, as messages of role
  ``system``. Where the API takes none (see ``system_turns``), one is refused, or moved to the head if the caller set
  ``drop_params``, because an instruction left out is worse than one moved.
* ``USER`` and ``TOOL`` messages in a row become one user turn, results of tools first, as the API demands.
* Labels without meaning for the model (a schema's ``name`` and ``description``, a tool result's ``name``) are left out.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import Unsupported, Vendor
from samovar.ports.foreign_reasoning import lost_elsewhere
from samovar.ports.json_requests import Refusals
from samovar.ports.llm import ChatRequest, Message, Part, Reasoning, Role, Tool, ToolMode
from samovar.providers.anthropic.blocks import Block, control, write_part
from samovar.providers.anthropic.reasoning import made_by, write_asked
from samovar.providers.anthropic.request.system_turns import WHY_NOT, stands_well, takes_system_turns
from samovar.providers.anthropic.request.thinking import write_reasoning
from samovar.providers.anthropic.wire import DIALECT, TextBlock, ToolResultBlock

_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_CHOICES: Final = {
    ToolMode.AUTO: "auto",
    ToolMode.REQUIRED: "any",
    ToolMode.NAMED: "tool",
    ToolMode.NONE: "none",
}
_EMPTY_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_SYSTEM: Final = (Role.SYSTEM, Role.DEVELOPER)


def write_request(request: ChatRequest, *, vendor: Vendor, drop_params: bool, default_max_tokens: int) -> bytes:
    """The body. Raises :class:`Unsupported` with one flaw for each thing that cannot be said."""
    refusals = Refusals(drop=drop_params)
    native = request.dialect == DIALECT
    system, turns = _conversation(request, vendor=vendor, refusals=refusals)
    body: dict[str, Any] = {"model": request.model, "max_tokens": 0, "messages": turns}
    if not turns:
        raise Unsupported(
            "Anthropic needs at least one message of the user.",
            flaws=[Flaw("messages", "nothing but system messages")],
        )
    if system:
        body["system"] = system
    body["max_tokens"] = write_reasoning(request, body, refuse=refusals.note, default_max_tokens=default_max_tokens)
    _write_tools(request, body)
    _write_sampling(request, body, refusals)
    _write_output(request, body, refusals)
    _write_account(request, body, refusals, native=native)
    for name, raw in request.extensions.items():
        if native:
            body[name] = raw
        else:
            refusals.note(name, f"a setting of {request.dialect or 'another dialect'}")
    if request.stream:
        body["stream"] = True
    for name in sorted(vendor.quirks.rejects & body.keys()):
        refusals.note(name, f"{vendor.title} does not take it")
        del body[name]
    refusals.settle(vendor.title)
    return msgspec.json.encode(body)


# --- messages ------------------------------------------------------------------------------------------------------


def _conversation(
    request: ChatRequest, *, vendor: Vendor, refusals: Refusals
) -> tuple[list[Block], list[dict[str, Any]]]:
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    places: list[str] = []
    for at, message in enumerate(request.messages):
        where = f"messages[{at}]"
        if message.name is not None:
            refusals.note(f"{where}.name", "a name of the speaker")
        blocks = _blocks(message, where=where, request=request, vendor=vendor, refusals=refusals)
        if message.role in _SYSTEM and not turns:
            system.extend(blocks)
        elif blocks:
            _add(turns, _role(message.role), blocks)
            places += [where] * (len(turns) - len(places))
    if request.dialect != DIALECT:
        turns = _without_misplaced(turns, places, request.model, system=system, refusals=refusals)
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=_results_first)
    return system, turns


def _without_misplaced(
    turns: list[dict[str, Any]], places: list[str], model: str, *, system: list[Block], refusals: Refusals
) -> list[dict[str, Any]]:
    """The turns without the system's where the API takes none: those are refused, or go to the head."""
    kept: list[dict[str, Any]] = []
    for at, turn in enumerate(turns):
        if turn["role"] != "system" or (takes_system_turns(model) and stands_well(turns, at)):
            _add(kept, turn["role"], turn["content"])
        else:
            refusals.note(places[at], WHY_NOT)
            system.extend(turn["content"])
    return kept


def _role(role: Role) -> str:
    if role in _SYSTEM:
        return "system"
    return "assistant" if role is Role.ASSISTANT else "user"


def _add(turns: list[dict[str, Any]], role: str, blocks: list[Block]) -> None:
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"].extend(blocks)
    else:
        turns.append({"role": role, "content": blocks})


class _Typed(msgspec.Struct):
    type: str = ""


def _results_first(block: Block) -> bool:
    if isinstance(block, msgspec.Raw):
        return not msgspec.json.decode(block, type=_Typed).type.endswith("tool_result")
    return not isinstance(block, ToolResultBlock)


def _blocks(message: Message, *, where: str, request: ChatRequest, vendor: Vendor, refusals: Refusals) -> list[Block]:
    blocks: list[Block] = []
    for at, part in enumerate(message.parts):
        block = _block(part, where=f"{where}.content[{at}]", request=request, vendor=vendor, refusals=refusals)
        if block is None:
            continue
        if message.role in _SYSTEM and not isinstance(block, TextBlock | msgspec.Raw):
            refusals.note(f"{where}.content[{at}]", "anything but text in a system message")
            continue
        blocks.append(block)
    return blocks


def _block(part: Part, *, where: str, request: ChatRequest, vendor: Vendor, refusals: Refusals) -> Block | None:
    if isinstance(part, Reasoning):
        lost = None if made_by(part, vendor=vendor.name) else lost_elsewhere(part)
        if lost is not None:
            refusals.note(where, lost)
        return write_asked(part, vendor=vendor.name)
    return write_part(part, where=where, refuse=refusals.note, native=request.dialect == DIALECT)


# --- settings ------------------------------------------------------------------------------------------------------


def _write_tools(request: ChatRequest, body: dict[str, Any]) -> None:
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    elif "tools" not in request.extensions:
        # Without tools there is nothing to choose, and the API refuses a choice.
        return
    choice: dict[str, Any] = {}
    if request.tool_choice is not None:
        choice["type"] = _CHOICES[request.tool_choice.mode]
        if request.tool_choice.name is not None:
            choice["name"] = request.tool_choice.name
    if request.parallel_tool_calls is not None and choice.get("type") != "none":
        choice.setdefault("type", "auto")
        choice["disable_parallel_tool_use"] = not request.parallel_tool_calls
    if choice:
        body["tool_choice"] = choice


def _tool(tool: Tool) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    wire["input_schema"] = _EMPTY_SCHEMA if tool.schema is None else tool.schema
    if tool.strict is not None:
        wire["strict"] = tool.strict
    if tool.cache is not None:
        wire["cache_control"] = control(tool.cache)
    return wire


def _write_sampling(request: ChatRequest, body: dict[str, Any], refusals: Refusals) -> None:
    if request.temperature is not None:
        if 0 <= request.temperature <= 1:
            body["temperature"] = request.temperature
        else:
            refusals.note("temperature", f"{request.temperature:g}: the range is 0 to 1")
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k
    if request.stop:
        body["stop_sequences"] = request.stop
    # Values that ask for nothing are no loss.
    asked: Sequence[tuple[str, object, bool]] = (
        ("n", request.choices, request.choices not in (None, 1)),
        ("seed", request.seed, request.seed is not None),
        ("presence_penalty", request.presence_penalty, bool(request.presence_penalty)),
        ("frequency_penalty", request.frequency_penalty, bool(request.frequency_penalty)),
        ("logprobs", request.logprobs, bool(request.logprobs)),
        ("top_logprobs", request.top_logprobs, bool(request.top_logprobs)),
    )
    for name, value, wanted in asked:
        if wanted:
            refusals.note(name, f"{value}: there is no such setting")


def _write_output(request: ChatRequest, body: dict[str, Any], refusals: Refusals) -> None:
    output = request.output
    if output is None or output.kind == "text":
        return
    if output.kind == "json_object" or output.schema is None:
        refusals.note("response_format", "JSON without a schema; give a json_schema")
        return
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": output.schema}


def _write_account(request: ChatRequest, body: dict[str, Any], refusals: Refusals, *, native: bool) -> None:
    if request.metadata is not None and native:
        body["metadata"] = request.metadata
    elif request.metadata is not None:
        refusals.note("metadata", "anything but the user's id (field user)")
    if request.user is not None and "metadata" not in body:
        body["metadata"] = {"user_id": request.user}
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        if tier is None:
            refusals.note("service_tier", f"{request.service_tier}: only auto and default")
        else:
            body["service_tier"] = tier
