"""Calls whose caller and vendor both speak this dialect: the body is touched up, never translated."""

from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import Unsupported, Vendor
from samovar.ports.foreign_reasoning import MARK, opened
from samovar.ports.json_requests import decode
from samovar.ports.pins import may_hold_pins, unpinned
from samovar.providers.openai_responses.request.write import refuse_background
from samovar.providers.openai_responses.wire import ABSENT, OWN_FIELDS, begins

_TRUE: Final = b"true"
_DEVELOPER: Final = b'"developer"'
_ENVELOPE: Final = f'"{MARK}'.encode()


class _Thinking(msgspec.Struct):
    type: str = ""
    encrypted_content: str | None = None


def amended(body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
    """The caller's fields byte for byte, but for the bound on the answer; ``drop_params`` where he does not say it."""
    changed: dict[str, object] = {**decode(body, dict[str, Raw])}
    if max_output_tokens is not None:
        changed["max_output_tokens"] = max_output_tokens
    if drop_params:
        changed.setdefault("drop_params", True)
    return msgspec.json.encode(changed)


def splice(body: bytes, *, model: str, vendor: Vendor) -> bytes:
    """The caller's fields byte for byte, but for the model's name and what is ours. Raises ``Malformed``, and
    :class:`Unsupported` for thinking of another vendor and for an answer in the background."""
    fields = decode(body, dict[str, Raw])
    drop = bytes(fields.get("drop_params", b"")) == _TRUE
    changed: dict[str, object] = {**fields, "model": model}
    for name in OWN_FIELDS:
        changed.pop(name, None)
    if drop:
        for name in vendor.quirks.rejects:
            changed.pop(name, None)
    refuse_background(fields.get("background"), stream=bytes(fields.get("stream", b"")) == _TRUE)
    asked = fields.get("input", ABSENT)
    renamed = not vendor.quirks.developer_role and _DEVELOPER in body
    marked = may_hold_pins(body)
    if marked and "previous_response_id" in fields:
        changed["previous_response_id"] = _unpinned(fields["previous_response_id"])
    if begins(asked, b"[") and (renamed or marked or _ENVELOPE in body):
        changed["input"] = _items(asked, vendor=vendor, drop=drop)
    return msgspec.json.encode(changed)


def _items(asked: Raw, *, vendor: Vendor, drop: bool) -> list[Raw]:
    items: list[Raw] = []
    for at, raw in enumerate(decode(asked, list[Raw], where="$.input")):
        item: Raw | None = raw
        if _ENVELOPE in bytes(raw):
            item = _opened(raw, where=f"$.input[{at}]", vendor=vendor, drop=drop)
        elif not vendor.quirks.developer_role and _DEVELOPER in bytes(raw):
            item = _plain_role(raw)
        elif may_hold_pins(bytes(raw)):
            item = _without_pin(raw)
        items += [] if item is None else [item]
    return items


def _without_pin(raw: Raw) -> Raw:
    """The item, with encrypted content as its maker wrote it."""
    if not begins(raw, b"{"):
        return raw
    fields = decode(raw, dict[str, Raw], where="$.input")
    kept = fields.get("encrypted_content", ABSENT)
    return Raw(msgspec.json.encode({**fields, "encrypted_content": _unpinned(kept)})) if begins(kept, b'"') else raw


def _unpinned(raw: Raw) -> Raw | str:
    if not begins(raw, b'"'):
        return raw
    pin = unpinned(decode(raw, str))
    return raw if pin is None else pin.text


def _plain_role(raw: Raw) -> Raw:
    fields = decode(raw, dict[str, Raw], where="$.input")
    if bytes(fields.get("role", b"")) != _DEVELOPER:
        return raw
    return Raw(msgspec.json.encode({**fields, "role": "system"}))


def _opened(raw: Raw, *, where: str, vendor: Vendor, drop: bool) -> Raw | None:
    """The item, with our envelope opened for the vendor whose thinking is in it; ``None`` for what is left out."""
    thinking = decode(raw, _Thinking, where=where)
    envelope = opened(thinking.encrypted_content or "") if thinking.type == "reasoning" else None
    if envelope is None:
        return raw
    if envelope.origin == vendor.name:
        item: dict[str, object] = {**decode(raw, dict[str, Raw]), "encrypted_content": envelope.encrypted}
        if envelope.id is not None:
            item["id"] = envelope.id
        return Raw(msgspec.json.encode(item))
    if envelope.encrypted is not None and not drop:
        raise Unsupported(
            f"{where}: this reasoning was encrypted by {envelope.origin} and {vendor.title} cannot read it. "
            f"Leave the item out, go on with a model of {envelope.origin}, or set drop_params.",
            flaws=[Flaw(where, f"encrypted reasoning of {envelope.origin}")],
        )
    # Signed thinking stands in the open and is left out, as everywhere.
    return None
