"""``generationConfig``, read: the fields that the core has, and what is left of it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from samovar.ports.llm import OutputFormat, ReasoningSettings
from samovar.providers.gemini.schema import to_json_schema
from samovar.providers.gemini.wire import ABSENT, Count, said


class _Thinking(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None


class _Config(msgspec.Struct, rename="camel"):
    max_output_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    candidate_count: int | None = None
    thinking_config: Raw = ABSENT
    response_mime_type: str | None = None
    response_schema: Raw = ABSENT
    response_json_schema: Raw = ABSENT


class Settings(msgspec.Struct):
    """``fields`` are a ``ChatRequest``'s; ``rest`` is the object of what it has no field for."""

    fields: dict[str, Any]
    rest: Raw = ABSENT


_JSON: Final = "application/json"
_OUTPUT: Final = ("responseMimeType", "responseSchema", "responseJsonSchema")
_KNOWN: Final = frozenset(
    msgspec.structs.fields(_Config)[at].encode_name for at in range(len(_Config.__struct_fields__))
)
_DECODER: Final = msgspec.json.Decoder(_Config)


def read_settings(raw: Raw) -> Settings:
    """Raises ``msgspec.MsgspecError`` and :class:`samovar.providers.gemini.schema.TooDeep`."""
    if not said(raw):
        return Settings(fields={})
    wire = _DECODER.decode(raw)
    given = msgspec.json.decode(raw, type=dict[str, Raw])
    rest = {name: value for name, value in given.items() if name not in _KNOWN and said(value)}
    fields: dict[str, Any] = {
        "max_output_tokens": wire.max_output_tokens,
        "temperature": wire.temperature,
        "top_p": wire.top_p,
        "top_k": None if wire.top_k is None else int(wire.top_k),
        "stop": tuple(wire.stop_sequences or ()),
        "seed": wire.seed,
        "presence_penalty": wire.presence_penalty,
        "frequency_penalty": wire.frequency_penalty,
        "logprobs": wire.response_logprobs,
        "top_logprobs": wire.logprobs,
        "choices": wire.candidate_count,
        "reasoning": _thinking(wire.thinking_config, rest),
        "output": _output(wire, given, rest),
    }
    return Settings(fields=fields, rest=Raw(msgspec.json.encode(rest)) if rest else ABSENT)


def _thinking(raw: Raw, rest: dict[str, Raw]) -> ReasoningSettings | None:
    if not said(raw):
        return None
    try:
        wire = msgspec.json.decode(raw, type=_Thinking)
    except msgspec.ValidationError as error:
        if "unknown field" not in str(error):
            raise
        rest["thinkingConfig"] = raw
        return None
    level = (wire.thinking_level or "").lower()
    budget = wire.thinking_budget
    enabled = {None: None, 0: False, -1: True}.get(budget, True)
    return ReasoningSettings(
        enabled=enabled,
        effort=level if level and not level.endswith("unspecified") else None,
        # -1 lets the model decide and 0 is off: neither is a number of tokens.
        budget_tokens=budget if budget is not None and budget > 0 else None,
        summary="auto" if wire.include_thoughts else None,
    )


def _output(wire: _Config, given: Mapping[str, Raw], rest: dict[str, Raw]) -> OutputFormat | None:
    if wire.response_mime_type in (None, "", "text/plain"):
        return None if wire.response_mime_type is None else OutputFormat()
    if wire.response_mime_type != _JSON:
        # A bare word of an enum, for instance.
        rest.update({name: given[name] for name in _OUTPUT if name in given})
        return None
    if said(wire.response_json_schema):
        return OutputFormat(kind="json_schema", schema=wire.response_json_schema)
    if said(wire.response_schema):
        return OutputFormat(kind="json_schema", schema=to_json_schema(wire.response_schema))
    return OutputFormat(kind="json_object")
