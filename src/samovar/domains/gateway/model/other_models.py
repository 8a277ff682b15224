"""Models that a call names beside its own, for the provider to fall back on.

Some providers take these from a body: OpenRouter ``models``, ``route`` and ``preset``
(https://openrouter.ai/docs/guides/routing), and ``fallbacks`` as Anthropic's SDKs write it. They pass through like every
field of a vendor's own, so whoever restricts a key to models must look at them.
"""

from typing import Final

import msgspec
from msgspec import Raw

_ABSENT: Final = Raw(b"")
_NULL: Final = b"null"
_MARKS: Final = (b'"models"', b'"fallbacks"', b'"route"', b'"preset"', b"\\u")
"""One of these stands in every body that says such a thing."""


class OtherModels(msgspec.Struct, frozen=True):
    """``names`` as the provider knows them. ``open_fields`` leave the choice of a model to the provider."""

    names: tuple[str, ...] = ()
    open_fields: tuple[str, ...] = ()


class _Fallback(msgspec.Struct, frozen=True):
    model: str


class _Body(msgspec.Struct, frozen=True):
    models: Raw = _ABSENT
    fallbacks: Raw = _ABSENT
    route: Raw = _ABSENT
    preset: Raw = _ABSENT


_BODY: Final = msgspec.json.Decoder(_Body)
_NAMES: Final = msgspec.json.Decoder(list[str])
_FALLBACKS: Final = msgspec.json.Decoder(list[_Fallback])
_NONE: Final = OtherModels()


def other_models(body: bytes) -> OtherModels:
    """``body`` is JSON, an object."""
    if not any(mark in body for mark in _MARKS):
        return _NONE
    said = _BODY.decode(body)
    names: list[str] = []
    unread: list[str] = []
    if _is_said(said.models):
        try:
            names += _NAMES.decode(said.models)
        except msgspec.MsgspecError:
            unread.append("models")
    if _is_said(said.fallbacks):
        try:
            names += [fallback.model for fallback in _FALLBACKS.decode(said.fallbacks)]
        except msgspec.MsgspecError:
            unread.append("fallbacks")
    if _is_said(said.route) and not names:
        # Without a list the provider takes what it thinks fit.
        unread.append("route")
    if _is_said(said.preset):
        unread.append("preset")
    return OtherModels(tuple(names), tuple(unread))


def _is_said(raw: Raw) -> bool:
    return bytes(raw) not in (b"", _NULL)
