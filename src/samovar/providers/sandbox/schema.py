"""One value that fits a JSON schema, the same each time.

Covers what tools and structured output use: type, properties, required, items, enum, const, $ref (also cyclic), anyOf, oneOf,
allOf, and the bounds of numbers, strings and arrays. ``pattern`` is not solved: a schema with one should give an ``example``,
``default`` or ``enum``, which win.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_MAX_DEPTH: Final = 12
_MAX_NODES: Final = 2_000
_MAX_ITEMS: Final = 64
_MAX_TEXT: Final = 200
_FORMATS: Final = {
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H",
    "email": "sandbox@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fitting_value(schema: bytes, text: str) -> Any:
    """A value that fits ``schema`` (JSON); its strings are made of ``text``. What is no schema gives an empty object."""
    try:
        root = msgspec.json.decode(schema)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return _Sampler(root, text[:_MAX_TEXT]).value(root, 0) if isinstance(root, dict) else {}


class _Sampler:
    def __init__(self, root: dict[str, Any], text: str) -> None:
        self._root = root
        self._text = text
        self._nodes = 0

    def value(self, node: Any, depth: int) -> Any:
        self._nodes += 1
        if not isinstance(node, dict) or depth > 2 * _MAX_DEPTH or self._nodes > _MAX_NODES:
            return {} if isinstance(node, dict) and "properties" in node else None
        given = _given(node)
        if given is not None:
            return given[0]
        merged = self._merged(node, depth)
        if merged is not node:
            return self.value(merged, depth + 1)
        return self._typed(node, depth)

    def _merged(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        """``node`` with its reference or combination put in its place, or ``node`` itself where it has none."""
        if isinstance(node.get("$ref"), str):
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return {**self._resolved(node["$ref"]), **rest}
        for word in ("anyOf", "oneOf"):
            options = node.get(word)
            if isinstance(options, list) and options:
                rest = {key: value for key, value in node.items() if key != word}
                return {**rest, **_mapping(self._chosen(options, depth))}
        parts = node.get("allOf")
        if isinstance(parts, list) and parts:
            return self._joined(node, parts)
        return node

    def _chosen(self, options: list[Any], depth: int) -> Any:
        # Deep down, "or null" is the way out of a schema that refers to itself.
        if depth > _MAX_DEPTH // 2:
            for option in options:
                if isinstance(option, dict) and option.get("type") == "null":
                    return option
        return options[0]

    def _joined(self, node: dict[str, Any], parts: list[Any]) -> dict[str, Any]:
        joined = {key: value for key, value in node.items() if key != "allOf"}
        for part in parts:
            more = _mapping(part)
            if isinstance(more.get("$ref"), str):
                more = {**self._resolved(more["$ref"]), **{key: value for key, value in more.items() if key != "$ref"}}
            properties = {**_mapping(joined.get("properties")), **_mapping(more.get("properties"))}
            required = [*_list(joined.get("required")), *_list(more.get("required"))]
            joined = {**joined, **more}
            if properties:
                joined |= {"properties": properties, "required": required}
        return joined

    def _resolved(self, reference: str) -> dict[str, Any]:
        node: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                node = _mapping(node).get(step.replace("~1", "/").replace("~0", "~"))
        return _mapping(node)

    def _typed(self, node: dict[str, Any], depth: int) -> Any:
        kind = node.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        kind = kind if isinstance(kind, str) else None
        if kind == "object" or (kind is None and "properties" in node):
            return self._object(node, depth)
        if kind == "array" or (kind is None and "items" in node):
            return self._array(node, depth)
        if kind in {"integer", "number"}:
            return _number(node, whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else self._string(node)

    def _object(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = _mapping(node.get("properties"))
        required = _list(node.get("required"))
        # Optional properties are filled too, but not deep down: there only what must be.
        wanted = properties if depth < _MAX_DEPTH // 2 else [name for name in properties if name in required]
        return {name: self.value(properties[name], depth + 1) for name in wanted}

    def _array(self, node: dict[str, Any], depth: int) -> list[Any]:
        fewest = node.get("minItems")
        least = fewest if isinstance(fewest, int) else 0
        count = min(_MAX_ITEMS, least if depth >= _MAX_DEPTH // 2 or node.get("maxItems") == 0 else max(1, least))
        prefix = node.get("prefixItems")
        if isinstance(prefix, list):
            return [self.value(item, depth + 1) for item in prefix[:_MAX_ITEMS]]
        return [self.value(node.get("items", {}), depth + 1) for _ in range(count)]

    def _string(self, node: dict[str, Any]) -> str:
        shaped = _FORMATS.get(str(node.get("format")))
        if shaped is not None:
            return shaped
        text = self._text or "sandbox"
        least, most = node.get("minLength"), node.get("maxLength")
        if isinstance(least, int) and len(text) < least:
            text = text.ljust(min(least, 10_000), ".")
        return text[:most] if isinstance(most, int) else text


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _given(node: Mapping[str, Any]) -> tuple[Any] | None:
    """The value that the schema itself names, in a tuple, because it may be null."""
    for word in ("const", "default"):
        if word in node:
            return (node[word],)
    for word in ("enum", "examples"):
        values = node.get(word)
        if isinstance(values, list) and values:
            return (values[0],)
    return None


def _number(node: Mapping[str, Any], *, whole: bool) -> float:
    low, high = _bound(node, "minimum"), _bound(node, "maximum")
    above, below = _bound(node, "exclusiveMinimum"), _bound(node, "exclusiveMaximum")
    step = _bound(node, "multipleOf") or 1.0
    value = 1.0
    if above is not None:
        value = max(value, above + (step if whole or below is None else (below - above) / 2))
    if low is not None:
        value = max(value, low)
    if high is not None and value > high:
        value = high
    if below is not None and value >= below:
        value = below - step
    if "multipleOf" in node:
        value = -(-value // step) * step
        value -= step if high is not None and value > high else 0
    if whole:
        value = float(-(-value // 1)) if high is None or -(-value // 1) <= high else float(value // 1)
    return int(value) if whole or value == int(value) else value


def _bound(node: Mapping[str, Any], word: str) -> float | None:
    value = node.get(word)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
