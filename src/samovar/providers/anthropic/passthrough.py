"""Calls whose caller and vendor both speak this dialect: the body is touched up, never translated."""

from typing import Final

import msgspec
from msgspec import Raw

from samovar.ports.dialect import Unsupported, Vendor
from samovar.ports.foreign_reasoning import MARK, lost_in_passing, opened
from samovar.ports.json_requests import decode
from samovar.providers.anthropic.wire import OWN_FIELDS

_TRUE: Final = b"true"
_ENVELOPE: Final = f'"{MARK}'.encode()


class _Thinking(msgspec.Struct):
    type: str = ""
    signature: str = ""


class _Turn(msgspec.Struct):
    content: Raw = Raw()


def amended(body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
    """The caller's fields byte for byte, but for the bound on the answer; ``drop_params`` where he does not say it."""
    changed: dict[str, object] = {**decode(body, dict[str, Raw])}
    if max_output_tokens is not None:
        changed["max_tokens"] = max_output_tokens
    if drop_params:
        changed.setdefault("drop_params", True)
    return msgspec.json.encode(changed)


def splice(body: bytes, *, model: str, vendor: Vendor) -> bytes:
    """The caller's fields byte for byte, but for the model's name, what is ours, and thinking that the vendor did not make:
    it would refuse the signature. Raises ``Malformed``, and :class:`Unsupported` for what another vendor encrypted."""
    fields = decode(body, dict[str, Raw])
    drop = bytes(fields.get("drop_params", b"")) == _TRUE
    changed: dict[str, object] = {**fields, "model": model}
    for name in OWN_FIELDS:
        changed.pop(name, None)
    if _ENVELOPE in body and "messages" in fields:
        turns = decode(fields["messages"], list[Raw], where="$.messages")
        written = (_turn(raw, where=f"$.messages[{at}]", vendor=vendor, drop=drop) for at, raw in enumerate(turns))
        changed["messages"] = [turn for turn in written if turn is not None]
    return msgspec.json.encode(changed)


def _turn(raw: Raw, *, where: str, vendor: Vendor, drop: bool) -> Raw | None:
    """``None`` where nothing but thinking of others was said."""
    content = bytes(decode(raw, _Turn, where=where).content)
    if _ENVELOPE not in content or not content.startswith(b"["):
        return raw
    blocks: list[Raw] = []
    for at, block in enumerate(decode(content, list[Raw], where=f"{where}.content")):
        written = _block(block, where=f"{where}.content[{at}]", vendor=vendor, drop=drop)
        blocks += [] if written is None else [written]
    if not blocks:
        return None
    return Raw(msgspec.json.encode({**decode(raw, dict[str, Raw]), "content": blocks}))


def _block(raw: Raw, *, where: str, vendor: Vendor, drop: bool) -> Raw | None:
    if _ENVELOPE not in bytes(raw):
        return raw
    thinking = decode(raw, _Thinking, where=where)
    envelope = opened(thinking.signature) if thinking.type == "thinking" else None
    if envelope is None:
        return raw
    if envelope.origin == vendor.name and envelope.signature is not None:
        return Raw(msgspec.json.encode({**decode(raw, dict[str, Raw]), "signature": envelope.signature}))
    flaw = None if drop else lost_in_passing(envelope, where=where)
    if flaw is not None:
        raise Unsupported(f"{vendor.title} cannot do all that was asked: {flaw.where}: {flaw.what}.", flaws=[flaw])
    # Signed thinking stands in the open and is left out, as everywhere.
    return None
