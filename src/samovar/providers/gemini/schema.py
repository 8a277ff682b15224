"""Gemini's own schemas to JSON Schema.

``parameters`` and ``responseSchema`` hold a subset of OpenAPI 3.0 (https://ai.google.dev/api/caching#Schema): types in capitals,
``nullable``, numbers of 64 bits as text. The core holds JSON Schema; so what we write are the fields beside them that take it,
``parametersJsonSchema`` and ``responseJsonSchema``: ``$ref``, ``oneOf``, ``additionalProperties`` and the rest survive there.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

_MAX_DEPTH: Final = 64
_WHOLE: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_CAMEL: Final[Mapping[str, str]] = {
    "any_of": "anyOf",
    "one_of": "oneOf",
    "additional_properties": "additionalProperties",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
}


class TooDeep(ValueError):
    """A schema nested beyond all use."""


def to_json_schema(raw: Raw) -> Raw:
    """Raises ``msgspec.MsgspecError`` for what is no object and :class:`TooDeep`."""
    return Raw(msgspec.json.encode(_converted(msgspec.json.decode(raw, type=dict[str, Any]), 0)))


def _converted(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise TooDeep(f"a schema nested more than {_MAX_DEPTH} deep")
    given = {_CAMEL.get(key, key): value for key, value in schema.items()}
    order = given.pop("propertyOrdering", None)
    nullable = given.pop("nullable", False)
    out = {key: _value(key, value, depth) for key, value in given.items() if value is not None}
    if out.get("format") == "enum":
        del out["format"]
    if isinstance(order, list) and isinstance(out.get("properties"), dict):
        properties = out["properties"]
        first = [name for name in order if name in properties]
        out["properties"] = {name: properties[name] for name in (*first, *(properties.keys() - set(first)))}
    return _with_null(out) if nullable else out


def _value(key: str, value: Any, depth: int) -> Any:
    if key == "type" and isinstance(value, str):
        return value.lower()
    if key in _WHOLE and isinstance(value, str) and value.isdecimal():
        return int(value)
    if key in ("properties", "$defs", "defs") and isinstance(value, dict):
        return {name: _nested(inner, depth) for name, inner in value.items()}
    if key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [_nested(inner, depth) for inner in value]
    if key in ("items", "additionalProperties"):
        return _nested(value, depth)
    return value


def _nested(value: Any, depth: int) -> Any:
    return _converted(value, depth + 1) if isinstance(value, dict) else value


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null":
        allowed = {"enum": [*schema["enum"], None]} if isinstance(schema.get("enum"), list) else {}
        return {**schema, "type": [kind, "null"], **allowed}
    if isinstance(schema.get("anyOf"), list):
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema
