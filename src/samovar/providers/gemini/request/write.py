"""A neutral request, written for Gemini. The model and whether it streams stand in the URL, not here.

* ``SYSTEM`` and ``DEVELOPER`` messages at the head become ``systemInstruction``. Gemini knows none further on: a later one is
  refused, or moved to the head if the caller set ``drop_params``, because an instruction left out is worse than one moved.
* Results of tools in a row become one content, as the answer to calls made in parallel must.
* Schemas stand in ``parametersJsonSchema`` and ``responseJsonSchema``: see ``schema``.
* Labels without meaning for the model (a schema's ``name`` and ``description``, the ``user``) and marks of what to cache, which
  Gemini decides itself, are left out.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import Unsupported, Vendor
from samovar.ports.foreign_reasoning import lost_elsewhere
from samovar.ports.json_requests import Refusals
from samovar.ports.llm import ChatRequest, Message, Reasoning, Role, Tool, ToolCall, ToolMode
from samovar.providers.gemini.parts import WirePart, sign_last, write_part
from samovar.providers.gemini.reasoning import SKIP_VALIDATION, write_asked
from samovar.providers.gemini.request.thinking import signs_calls, write_thinking
from samovar.providers.gemini.wire import DIALECT

_MODES: Final = {
    ToolMode.AUTO: "AUTO",
    ToolMode.REQUIRED: "ANY",
    ToolMode.NAMED: "ANY",
    ToolMode.NONE: "NONE",
}
_SYSTEM: Final = (Role.SYSTEM, Role.DEVELOPER)
_TIERS: Final = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}


def write_request(request: ChatRequest, *, vendor: Vendor, drop_params: bool) -> bytes:
    """The body. Raises :class:`Unsupported` with one flaw for each thing that cannot be said."""
    refusals = Refusals(drop=drop_params)
    native = request.dialect == DIALECT
    system, contents = _Conversation(request, vendor=vendor, refusals=refusals).written()
    if not contents:
        # What had to be left out may be the very reason.
        refusals.settle(vendor.title)
        raise Unsupported(
            "Gemini needs at least one message of the user.", flaws=[Flaw("messages", "nothing but system messages")]
        )
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    _write_tools(request, body, refusals)
    config = _config(request, refusals, native=native)
    _write_account(request, body, refusals)
    for name, raw in request.extensions.items():
        if not native:
            refusals.note(name, f"a setting of {request.dialect or 'another dialect'}")
        elif name == "generationConfig":
            config.update(msgspec.json.decode(raw, type=dict[str, Raw]))
        else:
            body[name] = raw
    if config:
        body["generationConfig"] = config
    for fields in (body, config):
        for name in sorted(vendor.quirks.rejects & fields.keys()):
            refusals.note(name, f"{vendor.title} does not take it")
            del fields[name]
    refusals.settle(vendor.title)
    return msgspec.json.encode(body)


# --- messages ------------------------------------------------------------------------------------------------------


class _Conversation:
    """The messages on their way to contents."""

    def __init__(self, request: ChatRequest, *, vendor: Vendor, refusals: Refusals) -> None:
        self._request = request
        self._vendor = vendor
        self._refusals = refusals
        self._native = request.dialect == DIALECT
        self._names: dict[str, str] = {}
        self._system: list[WirePart] = []
        self._contents: list[dict[str, Any]] = []

    def written(self) -> tuple[list[WirePart], list[dict[str, Any]]]:
        """The parts of the system instruction, and the contents."""
        before: Role | None = None
        for at, message in enumerate(self._request.messages):
            where = f"messages[{at}]"
            if message.name is not None:
                self._refusals.note(f"{where}.name", "a name of the speaker")
            parts = self._parts(message, where=where)
            if message.role in _SYSTEM:
                self._add_system(parts, where=where)
            elif parts and message.role is Role.TOOL and before is Role.TOOL:
                self._contents[-1]["parts"].extend(parts)
            elif parts:
                self._contents.append({"role": "model" if message.role is Role.ASSISTANT else "user", "parts": parts})
            if parts and message.role not in _SYSTEM:
                before = message.role
        return self._system, self._contents

    def _add_system(self, parts: list[WirePart], *, where: str) -> None:
        if self._contents:
            self._refusals.note(where, "a system message after the conversation has begun")
        for part in parts:
            if isinstance(part, dict) and "text" not in part:
                self._refusals.note(where, "anything but text in a system message")
            else:
                self._system.append(part)

    def _parts(self, message: Message, *, where: str) -> list[WirePart]:
        parts: list[WirePart] = []
        for at, part in enumerate(message.parts):
            if isinstance(part, Reasoning):
                # Gemini encrypts nothing apart from its signatures: whatever is encrypted is another's.
                lost = lost_elsewhere(part)
                if lost is not None:
                    self._refusals.note(f"{where}.content[{at}]", lost)
                thought = write_asked(part, vendor=self._vendor.name)
                if thought is not None and "thoughtSignature" in thought:
                    sign_last(parts, thought)
                elif thought is not None and self._native:
                    # Without a signature it proves nothing to the vendor, so only Gemini's own callers mean it to go back.
                    parts.append(thought)
                continue
            if isinstance(part, ToolCall):
                self._names[part.id] = part.name
            written = write_part(
                part,
                where=f"{where}.content[{at}]",
                refuse=self._refusals.note,
                native=self._native,
                names=self._names,
            )
            if written is not None:
                parts.append(written)
        if message.role is Role.ASSISTANT and signs_calls(self._request.model):
            _excuse_first_call(parts)
        return parts


def _excuse_first_call(parts: list[WirePart]) -> None:
    """Gemini refuses a turn whose first call has no signature: from 3 on always, 2.5 where it thinks. None has a call that
    another vendor made, or whose arguments a rule redacted. Google's word stands in for it; parallel calls after the first
    need none."""
    for part in parts:
        if isinstance(part, dict) and "functionCall" in part:
            part.setdefault("thoughtSignature", SKIP_VALIDATION)
            return


# --- settings ------------------------------------------------------------------------------------------------------


def _write_tools(request: ChatRequest, body: dict[str, Any], refusals: Refusals) -> None:
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
    elif "tools" not in request.extensions:
        # Without tools there is nothing to choose.
        return
    if request.parallel_tool_calls is False:
        refusals.note("parallel_tool_calls", "one call at a time: there is no such setting")
    choice = request.tool_choice
    config: dict[str, Any] = {}
    if choice is not None:
        config["mode"] = _MODES[choice.mode]
        if choice.name is not None:
            config["allowedFunctionNames"] = [choice.name]
    if config.get("mode", "AUTO") == "AUTO" and any(tool.strict for tool in request.tools):
        config["mode"] = "VALIDATED"
    if config:
        body["toolConfig"] = {"functionCallingConfig": config}


def _tool(tool: Tool) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.schema is not None:
        wire["parametersJsonSchema"] = tool.schema
    return wire


def _config(request: ChatRequest, refusals: Refusals, *, native: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "maxOutputTokens": request.max_output_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "stopSequences": request.stop or None,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "thinkingConfig": write_thinking(request, refuse=refusals.note) or None,
        "responseMimeType": _mime_type(request),
        "responseJsonSchema": None if request.output is None else request.output.schema,
    }
    if native:
        said["responseLogprobs"] = request.logprobs
        said["logprobs"] = request.top_logprobs
        said["candidateCount"] = request.choices
    else:
        _refuse_unanswerable(request, refusals)
    return {name: value for name, value in said.items() if value is not None}


def _refuse_unanswerable(request: ChatRequest, refusals: Refusals) -> None:
    """What Gemini takes, but what the neutral core cannot bring back."""
    if request.choices not in (None, 1):
        refusals.note("n", f"{request.choices} answers at once, in translation")
    if request.logprobs or request.top_logprobs:
        refusals.note("logprobs", "probabilities of tokens, in translation")


def _mime_type(request: ChatRequest) -> str | None:
    if request.output is None:
        return None
    if request.output.kind == "text":
        return "text/plain" if request.dialect == DIALECT else None
    return "application/json"


def _write_account(request: ChatRequest, body: dict[str, Any], refusals: Refusals) -> None:
    if request.metadata is not None:
        refusals.note("metadata", "labels on a call")
    if request.service_tier in (None, "auto"):
        return
    tier = _TIERS.get(request.service_tier or "")
    if tier is None:
        refusals.note("service_tier", f"{request.service_tier}: auto, default, flex and priority are known")
    else:
        body["serviceTier"] = tier
