"""What a process notes in its spool, and how it lies there: length, CRC-32, JSON. Pure.

A crash may cut the last record short, or leave anything after it; reading stops at the first record that is not whole.
"""

import struct
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias
from zlib import crc32

import msgspec

from samovar.domains.billing.model.ledger import Mark, Settled

HEAD: Final = struct.Struct("<II")
MAX_RECORD_BYTES: Final = 256 * 1024

OutcomeKind: TypeAlias = Literal["reported", "estimated", "released"]


NO_MEMO: Final = msgspec.Raw(b"null")
"""The memo of what costs nothing, or can be noted no other way."""


class Intent(msgspec.Struct, frozen=True, array_like=True, tag="intent", gc=False):
    """A call goes out. ``at`` is microseconds since 1970, within the lease's day."""

    call_id: str
    team_id: str
    wallet_id: str
    lease_id: str
    principal_id: str
    hold_nano_usd: int
    at: int


class Outcome(msgspec.Struct, frozen=True, array_like=True, tag="outcome", gc=False):
    """How it ended. ``released`` is a call that nobody worked on: it costs nothing and stands in no ledger. ``memo`` is
    JSON: what the cost was computed from; a spool of before this version has it as a string of JSON."""

    call_id: str
    cost_nano_usd: int
    kind: OutcomeKind
    source: str
    mark: Mark | None
    memo: msgspec.Raw


Record: TypeAlias = Intent | Outcome

# As JSON writes it. Searched for with `find`: `in` raises and drops an error first, before Python 3.12.
_NUL: Final = b"\\u0000"
REPLACED: Final = b"\\ufffd"
"""Stands in a record for a NUL."""
_encode: Final = msgspec.json.Encoder().encode
_head: Final = HEAD.pack
_decoder: Final = msgspec.json.Decoder(Record)


def framed(record: Record) -> bytes:
    """The bytes of a record. Raises ``ValueError`` for one above ``MAX_RECORD_BYTES``."""
    payload = _encode(record)
    if payload.find(_NUL) >= 0:
        # PostgreSQL's text holds no NUL, and a vendor may well send one.
        payload = payload.replace(_NUL, REPLACED)
    size = len(payload)
    if size > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {size} bytes")
    return _head(size, crc32(payload)) + payload


def scan(data: bytes, start: int = 0) -> Iterator[tuple[Record, int]]:
    """Each whole record of ``data`` from ``start`` on, and where it ends. Whatever is not whole ends it."""
    at, size = start, len(data)
    while at + HEAD.size <= size:
        length, checksum = HEAD.unpack_from(data, at)
        end = at + HEAD.size + length
        if not 0 < length <= MAX_RECORD_BYTES or end > size:
            return
        payload = data[at + HEAD.size : end]
        if crc32(payload) != checksum:
            return
        try:
            record = _decoder.decode(payload)
        except msgspec.DecodeError:
            return
        yield record, end
        at = end


def settled(intent: Intent, outcome: Outcome | None) -> Settled | None:
    """What the ledger gets of a call: ``None`` for one that was released. Without an outcome it is charged at its hold:
    the provider may have worked, and nobody knows how much."""
    if outcome is None:
        cost, source, is_estimated, memo = intent.hold_nano_usd, "hold", True, None
        mark: Mark | None = Mark.AT_HOLD
    elif outcome.kind == "released":
        return None
    else:
        cost, source, mark = outcome.cost_nano_usd, outcome.source, outcome.mark
        is_estimated, memo = outcome.kind == "estimated", _memo_text(outcome.memo)
    # By place: this is done for every call.
    return Settled(
        intent.call_id,
        intent.at,
        intent.team_id,
        intent.wallet_id,
        intent.lease_id,
        intent.principal_id,
        cost,
        source,
        is_estimated,
        None if mark is None else mark.value,
        memo,
    )


def _memo_text(memo: msgspec.Raw) -> str | None:
    text = str(memo, "utf-8")
    return text if text.startswith("{") else msgspec.json.decode(text, type=str | None)
