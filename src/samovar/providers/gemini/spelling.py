"""Google's API takes its fields in camelCase and in snake_case alike (protobuf's JSON mapping); so do we.

Only names that are the API's own are respelt: what stands inside arguments, results and schemas is the caller's. The large
things (contents) are never rewritten for it, only the parts that need it.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

Shape: TypeAlias = Mapping[str, "Shape"]
"""The fields whose values are objects, or lists of objects, of the API's own."""

_LEAF: Final[Shape] = {}
_MEDIA: Final[Shape] = {"inlineData": _LEAF, "fileData": _LEAF}
PART: Final[Shape] = {**_MEDIA, "functionCall": _LEAF, "functionResponse": {"parts": _MEDIA}}
TOOL: Final[Shape] = {"functionDeclarations": _LEAF}
TOOL_CONFIG: Final[Shape] = {"functionCallingConfig": _LEAF}
GENERATION_CONFIG: Final[Shape] = {"thinkingConfig": _LEAF}

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])


def camel(name: str) -> str:
    """``max_output_tokens`` as ``maxOutputTokens``."""
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest) if first else name


def in_camel_case(raw: Raw, shape: Shape) -> Raw:
    """An object, or a list of them, with the API's own names in camelCase. What is neither stays as it is. Raises
    ``msgspec.MsgspecError`` for broken JSON."""
    # No underscore at all is common, and plain base64 holds none.
    return _respelt(raw, shape) if b"_" in bytes(raw) else raw


def _respelt(raw: Raw, shape: Shape) -> Raw:
    match bytes(memoryview(raw)[:1]):
        case b"{":
            fields = {camel(name): value for name, value in _FIELDS.decode(raw).items()}
            for name in shape.keys() & fields.keys():
                fields[name] = _respelt(fields[name], shape[name])
            return Raw(msgspec.json.encode(fields))
        case b"[":
            return Raw(msgspec.json.encode([_respelt(item, shape) for item in _LIST.decode(raw)]))
    return raw
