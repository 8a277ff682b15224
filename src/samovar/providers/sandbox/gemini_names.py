"""Protobuf's JSON takes each field under two names, ``inlineData`` and ``inline_data``: clients and documents use both.

https://protobuf.dev/programming-guides/json/#field-names.
"""

import re
from typing import Any, Final

import msgspec

_SNAKE: Final = re.compile(rb'"[a-z]+_[a-z_]+"\s*:')
_CALLERS_OWN: Final = frozenset(
    ("args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema")
)
"""What stands in these fields is data of the caller's, whatever its names look like."""


def in_camel_case(body: bytes) -> bytes:
    """``body`` with its field names in camel case. Raises ``msgspec.DecodeError`` for what is no JSON."""
    if _SNAKE.search(body) is None:
        return body
    return msgspec.json.encode(_renamed(msgspec.json.decode(body)))


def _renamed(node: Any) -> Any:
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    renamed = {}
    for name, value in node.items():
        first, *rest = name.split("_")
        camel = first + "".join(word.capitalize() for word in rest)
        renamed[camel] = value if camel in _CALLERS_OWN else _renamed(value)
    return renamed
