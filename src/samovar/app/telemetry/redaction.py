"""What may stand in a log: bounded, and without secrets, found by the name they stand under and by how they look."""

import math
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

REDACTED: Final = "***REDACTED***"
MAX_TEXT_CHARS: Final = 8 * 1024
MAX_EVENT_CHARS: Final = 64 * 1024
MAX_ITEMS: Final = 100
MAX_DEPTH: Final = 6
# A text is cut this far behind its bound, redacted, and cut again: what a secret lost at the first cut goes with the second.
_MARGIN_CHARS: Final = 4096
_MAX_NAME_CHARS: Final = 256
_MAX_INT_BITS: Final = 256

# The last words of a secret's name; `openai_api_key` and `x-admin-token` end in one of them.
_NAMES: Final = (
    r"authorization|cookie|password|passwd|pwd|passphrase|recovery[_-]?phrase|secret|credentials?|token"
    r"|(?:api|master|private|secret|signing|encryption|access)[_-]?key"
)
_SECRET_NAME: Final = re.compile(rf"(?i)(?:.*[^a-z]|[a-z]{{0,12}})(?:{_NAMES})\Z|.*(?:apikey|password|secret)\Z", re.S)
# Every repetition is bounded or cannot be entered from more than one side: the time stays linear in the text.
_SECRET_SHAPE: Final = re.compile(
    # Keys with a vendor's prefix, ours among them. The prefix must not be the end of a longer word.
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|xai|r8|gsk|hf|fal|whsec|gh[pousr]|github_pat|glpat|xox[abprs]|ya29)[-_.][A-Za-z0-9_.+/=\-]{8,}"
    r"|AIza[0-9A-Za-z_\-]{16,}"
    r"|A[KS]IA[0-9A-Z]{12,}"
    # JSON Web Tokens, and any other JSON in base64url.
    r"|eyJ[A-Za-z0-9_\-]{8,}[A-Za-z0-9_\-.]*"
    # BigModel's (id.secret) and fal's (id:secret) keys have no prefix.
    r"|[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![A-Za-z0-9])"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9a-f]{16,})"
    r"|-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
    # What follows, where only a part of it is secret.
    r"|(?P<scheme>(?i:\b(?:bearer|basic)\s{1,4}))[A-Za-z0-9._~+/\-]{8,}=*"
    r"|(?P<user>://)[^/\s@:\"'<>]{0,256}:[^\s\"'<>]{0,1024}@"
    rf"|(?P<name>(?i:(?<![A-Za-z])(?:{_NAMES}|(?<=[?&])key)\b"
    r"(?:[\\\"']*+\s{0,4}[:=]|[\\\"']++,)\s{0,4}(?:b(?=[\\\"']))?[\\\"']*+))"
    # A scheme before the secret goes with it; an unquoted value ends where a sentence or a query goes on.
    r"(?:(?i:bearer|basic|key|token)\s{1,4})?(?!\*\*\*)[^\s\"'\\,;&}\])>]+",
    re.S,
)
_SHORTEST_SECRET_CHARS: Final = 8


def redact_text(text: str, *, max_chars: int = MAX_TEXT_CHARS) -> str:
    """``text`` with everything that looks like a credential replaced, cut at ``max_chars``."""
    if len(text) < _SHORTEST_SECRET_CHARS:
        return text[:max_chars]
    if len(text) <= max_chars:
        return _SECRET_SHAPE.sub(_replaced, text)
    clean = _SECRET_SHAPE.sub(_replaced, text[: max_chars + _MARGIN_CHARS])
    if len(text) > max_chars + _MARGIN_CHARS:
        clean = clean[:-_MARGIN_CHARS]
    return f"{clean[:max_chars]}... ({len(text)} characters)"


def redact(value: Any) -> Any:
    """``value`` as JSON types, with secrets replaced, and bounded in depth, items and characters. Raises nothing."""
    return _Redaction().clean(value, 0)


def is_secret_name(name: object) -> bool:
    """Whether what stands under this name is a secret, whatever it looks like."""
    if isinstance(name, bytes):
        name = name[-_MAX_NAME_CHARS:].decode("latin-1")
    return isinstance(name, str) and _SECRET_NAME.match(name[-_MAX_NAME_CHARS:].strip()) is not None


def _replaced(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind is None:
        return REDACTED
    return f"{match[kind]}{REDACTED}{'@' if kind == 'user' else ''}"


class _Redaction:
    """The cleaning of one event, which spends one budget of characters."""

    def __init__(self) -> None:
        self._left = MAX_EVENT_CHARS

    def clean(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return _number(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._text(bytes(value[: MAX_TEXT_CHARS + 2 * _MARGIN_CHARS]).decode("utf-8", "replace"))
        if depth >= MAX_DEPTH or self._left <= 0:
            return "..."
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(value, depth + 1)
        return self._text(_words(value))

    def _text(self, value: str) -> str:
        text = redact_text(str(value), max_chars=max(0, min(MAX_TEXT_CHARS, self._left)))
        self._left -= len(text)
        return text

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found = {
            self._name(name): REDACTED if is_secret_name(name) and inner is not None else self.clean(inner, depth)
            for name, inner in islice(value.items(), MAX_ITEMS)
        }
        if len(value) > MAX_ITEMS:
            found["..."] = f"{len(value) - MAX_ITEMS} more"
        return found

    def _items(self, value: Any, depth: int) -> list[Any]:
        # A header as ASGI keeps it: a pair whose first says what the second is.
        if isinstance(value, list | tuple) and len(value) == 2 and is_secret_name(value[0]):
            return [self.clean(value[0], depth), REDACTED]
        items: Iterable[Any] = islice(value, MAX_ITEMS)
        found = [self.clean(inner, depth) for inner in items]
        if len(value) > MAX_ITEMS:
            found.append(f"... {len(value) - MAX_ITEMS} more")
        return found

    def _name(self, name: object) -> str:
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else _words(name)
        return redact_text(text, max_chars=_MAX_NAME_CHARS)


def _number(value: int | float) -> int | float | str:
    # JSON has neither infinities nor, in most readers, integers of thousands of digits.
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_INT_BITS else f"an integer of {value.bit_length()} bits"
    return value if math.isfinite(value) else repr(value)


def _words(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  # edge: an object that cannot describe itself must not end the request that logs it
        return f"<{type(value).__name__} without words: {type(error).__name__}>"
