"""A record, its canonical text and its place in the chain. Pure.

The canonical text is JSON as RFC 8785 writes it, of a subset on which nobody can disagree: objects with ASCII names in their
order, texts, whole numbers that a double holds, true, false and null.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

Fact: TypeAlias = str | int | bool | None
Metadata: TypeAlias = Mapping[str, Fact]

ANONYMOUS: Final = "anonymous"
"""The ``user_id`` of a caller whose credential was not good, or who had none."""

MAX_NAME_CHARS: Final = 64
MAX_WHO_CHARS: Final = 160
MAX_RESOURCE_CHARS: Final = 320
MAX_FACT_CHARS: Final = 256
MAX_FACTS: Final = 24
_MAX_REQUEST_ID_CHARS: Final = 128
# RFC 8785 writes numbers as doubles: beyond this, two readers may see two numbers.
_MAX_NUMBER: Final = 2**53 - 1
_FACT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class Result(StrEnum):
    """How it ended: ``denied`` is for want of a credential or a permission."""

    SUCCESS = "success"
    DENIED = "denied"
    FAILURE = "failure"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, before it has its place. Made by :func:`entry_of`, which bounds and cleans it."""

    id: str
    at: datetime
    service: str
    action: str
    user_id: str
    resource: str
    result: Result
    metadata: Metadata
    team_id: str | None
    request_id: str | None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An entry in its place: ``sequence`` counts from 1 without gaps, ``hash`` is 64 hexadecimal digits."""

    sequence: int
    entry: Entry
    hash: str


class Place(msgspec.Struct, frozen=True):
    """Where a chain stands: the last record's number and hash."""

    sequence: int
    hash: str


def entry_of(
    *,
    id: str,
    at: datetime,
    service: str,
    action: str,
    user_id: str | None,
    resource: str,
    result: Result,
    metadata: Mapping[str, object] | None = None,
    team_id: str | None = None,
    request_id: str | None = None,
) -> Entry:
    """An entry whose texts are bounded, and hold nothing that a database or a reader of JSON stumbles over. Facts of other
    types become texts; what is too much of them is left out."""
    facts = {name: _fact(value) for name, value in (metadata or {}).items() if _FACT_NAME.fullmatch(name)}
    return Entry(
        id=id,
        at=at,
        service=_text(service, MAX_NAME_CHARS),
        action=_text(action, MAX_NAME_CHARS),
        user_id=_text(user_id or ANONYMOUS, MAX_WHO_CHARS),
        resource=_text(resource, MAX_RESOURCE_CHARS),
        result=result,
        metadata=dict(sorted(facts.items())[:MAX_FACTS]),
        team_id=None if team_id is None else _text(team_id, MAX_NAME_CHARS),
        request_id=None if request_id is None else _text(request_id, _MAX_REQUEST_ID_CHARS),
    )


def genesis(chain: str) -> str:
    """What the first record of a chain follows."""
    return hashlib.sha256(b"samovar audit chain v1\n" + chain.encode()).hexdigest()


def follow(place: Place, entry: Entry) -> Record:
    """``entry`` in the next place after ``place``."""
    sequence = place.sequence + 1
    return Record(sequence=sequence, entry=entry, hash=chained(place.hash, canonical(document(sequence, entry))))


def chained(previous: str, text: bytes) -> str:
    """The hash of the record with this canonical ``text`` after the one with the hash ``previous``."""
    return hashlib.sha256(bytes.fromhex(previous) + text).hexdigest()


def document(sequence: int, entry: Entry) -> dict[str, Any]:
    """The record in the documents' form, without its signature: what is hashed."""
    return {
        "sequence": sequence,
        "id": entry.id,
        "timestamp": instant_text(entry.at),
        "service": entry.service,
        "action": entry.action,
        "user_id": entry.user_id,
        "resource": entry.resource,
        "result": str(entry.result),
        "metadata": dict(entry.metadata),
        "team_id": entry.team_id,
        "request_id": entry.request_id,
    }


def signed_document(record: Record) -> dict[str, Any]:
    """The record in the documents' form, whole: ``signature`` is its place in the chain."""
    return {**document(record.sequence, record.entry), "signature": record.hash}


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one text of ``value``. Raises ``ValueError`` where there is none: a number with a point, half a surrogate pair."""
    try:
        _check(value)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it nests deeper than anything that was ever recorded") from error


def instant_text(at: datetime) -> str:
    """RFC 3339, always with microseconds and a Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at.year >= 1000 else at.isoformat()


def _check(value: object) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str) or not name.isascii():
                raise ValueError(f"the name {name!r} is not ASCII")
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _MAX_NUMBER:
            raise ValueError(f"{str(value)[:40]} is more than a double holds exactly")
    elif not isinstance(value, str | bool | None):
        raise ValueError(f"a {type(value).__name__} has no one text")


def _fact(value: object) -> Fact:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _MAX_NUMBER:
        return value
    return _text(str(value), MAX_FACT_CHARS)


def _text(text: str, most: int) -> str:
    """Without half surrogate pairs, which UTF-8 cannot say, and NUL, which PostgreSQL cannot hold."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return cut.encode("utf-8", "replace").decode().replace("\0", "�")
