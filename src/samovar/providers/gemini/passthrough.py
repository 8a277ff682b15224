"""Calls whose caller and vendor both speak this dialect: the body is touched up, never translated."""

from typing import Any, Final

import msgspec
from msgspec import Raw

from samovar.ports.dialect import Unsupported, Vendor
from samovar.ports.foreign_reasoning import MARK_BASE64, lost_in_passing, opened_base64
from samovar.ports.json_requests import UNREADABLE, decode, malformed
from samovar.providers.gemini.spelling import camel
from samovar.providers.gemini.wire import ABSENT, OWN_FIELDS, said

_DROP: Final = ("drop_params", "dropParams")
_SIGNATURES: Final = ("thoughtSignature", "thought_signature")
_ENVELOPE: Final = f'"{MARK_BASE64}'.encode()
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])


class _Turn(msgspec.Struct):
    parts: list[Raw] = []


def amended(body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
    """The caller's fields byte for byte, but for the bound on the answer; ``drop_params`` where he does not say it."""
    changed: dict[str, object] = {**decode(body, dict[str, Raw])}
    if max_output_tokens is not None:
        name = (
            "generation_config"
            if "generationConfig" not in changed and "generation_config" in changed
            else "generationConfig"
        )
        config = decode(body, dict[str, Raw]).get(name, ABSENT)
        settings = decode(config, dict[str, Raw], where=f"$.{name}") if said(config) else {}
        kept = {field: raw for field, raw in settings.items() if camel(field) != "maxOutputTokens"}
        changed[name] = {**kept, "maxOutputTokens": max_output_tokens}
    if drop_params and not changed.keys() & OWN_FIELDS:
        changed["drop_params"] = True
    return msgspec.json.encode(changed)


def splice(body: bytes, *, vendor: Vendor) -> bytes:
    """The caller's bytes as they came; rewritten only if a field of ours, a model, or thinking that the vendor did not make
    stands in them: it would refuse the signature. Raises ``Malformed``, and :class:`Unsupported` for what another vendor
    encrypted."""
    try:
        fields: dict[str, Any] = dict(_FIELDS.decode(body))
    except UNREADABLE as error:
        raise malformed(error, body=body) from error
    strange = fields.keys() & (OWN_FIELDS | {"model"})
    foreign = _ENVELOPE in body and "contents" in fields
    if not strange and not foreign:
        return body
    if foreign:
        drop = any(bytes(fields.get(name, b"")) == b"true" for name in _DROP)
        contents = decode(fields["contents"], list[Raw], where="$.contents")
        turns = (_turn(raw, where=f"$.contents[{at}]", vendor=vendor, drop=drop) for at, raw in enumerate(contents))
        fields["contents"] = [turn for turn in turns if turn is not None]
    return msgspec.json.encode({name: raw for name, raw in fields.items() if name not in strange})


def _turn(raw: Raw, *, where: str, vendor: Vendor, drop: bool) -> Raw | None:
    """``None`` where nothing but thinking of others was said."""
    if _ENVELOPE not in bytes(raw):
        return raw
    parts: list[Raw] = []
    for at, part in enumerate(decode(raw, _Turn, where=where).parts):
        written = _part(part, where=f"{where}.parts[{at}]", vendor=vendor, drop=drop)
        parts += [] if written is None else [written]
    return Raw(msgspec.json.encode({**decode(raw, dict[str, Raw]), "parts": parts})) if parts else None


def _part(raw: Raw, *, where: str, vendor: Vendor, drop: bool) -> Raw | None:
    if _ENVELOPE not in bytes(raw):
        return raw
    fields: dict[str, Any] = dict(decode(raw, dict[str, Raw], where=where))
    name = next((name for name in _SIGNATURES if name in fields), None)
    envelope = None if name is None else opened_base64(decode(fields[name], str, where=f"{where}.{name}"))
    if name is None or envelope is None:
        return raw
    if envelope.origin == vendor.name and envelope.signature is not None:
        return Raw(msgspec.json.encode({**fields, name: envelope.signature}))
    flaw = None if drop else lost_in_passing(envelope, where=where)
    if flaw is not None:
        raise Unsupported(f"{vendor.title} cannot do all that was asked: {flaw.where}: {flaw.what}.", flaws=[flaw])
    # Signed thinking stands in the open and is left out, as everywhere; it is always a part of its own.
    return None
