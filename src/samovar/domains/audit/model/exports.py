"""The file of an export, both ways: JSON Lines (docs/audit.md). Pure.

A header, the public keys, the anchor where the chain's beginning was pruned, then records with each checkpoint right after the
record that it speaks of, and an end that is signed over the hash of every byte before it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from samovar.domains.audit.errors import ChainBroken
from samovar.domains.audit.model.checkpoints import (
    EXPORT,
    Anchor,
    Checkpoint,
    PublicKey,
    SigningKey,
    is_signed,
    public_key_of,
)
from samovar.domains.audit.model.records import Place, Record, canonical, instant_text, signed_document
from samovar.domains.audit.model.walking import Walk

FORMAT: Final = "samovar-audit/1"
MAX_LINE_BYTES: Final = 64 * 1024
_KIND: Final = "kind"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found. ``why`` is the first fault, ``None`` where all is well; ``sequence`` the record it is about.
    ``unsealed`` records at the end are younger than the last checkpoint. ``keys`` are the ids of those that signed. What was
    before ``first`` was pruned where ``pruned_at`` says when; else, where that is not 1, it is another part's."""

    chain: str
    first: int
    last: int
    records: int
    checkpoints: int
    unsealed: int
    keys: tuple[str, ...]
    pruned_at: str | None = None
    sequence: int | None = None
    why: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return self.why is None


class Writing:
    """Makes the lines of one file, and their hash."""

    def __init__(self, *, chain: str, start: Place) -> None:
        self._chain = chain
        self._start = start
        self._place = start
        self._digest = hashlib.sha256()
        self._records = self._checkpoints = 0

    def head(self, keys: Iterable[PublicKey], anchor: Anchor | None = None) -> bytes:
        """The first lines. ``anchor`` is that of the record before the first."""
        first = {
            _KIND: "header",
            "format": FORMAT,
            "chain": self._chain,
            "from": self._start.sequence + 1,
            "previous": self._start.hash,
        }
        anchors = () if anchor is None else (anchor_document(anchor),)
        return self._lines([first, *(key_document(key) for key in keys), *anchors])

    def body(self, records: Sequence[Record], checkpoints: Iterable[Checkpoint]) -> bytes:
        """Some records, and the checkpoints that speak of them."""
        of = {checkpoint.sequence: checkpoint for checkpoint in checkpoints}
        lines: list[dict[str, Any]] = []
        for record in records:
            lines.append({_KIND: "record", **signed_document(record)})
            checkpoint = of.get(record.sequence)
            if checkpoint is not None:
                lines.append(checkpoint_document(checkpoint))
                self._checkpoints += 1
            self._place = Place(record.sequence, record.hash)
        self._records += len(records)
        return self._lines(lines)

    def end(self, key: SigningKey, at: datetime) -> bytes:
        """The last line."""
        statement = {
            "chain": self._chain,
            "to": self._place.sequence,
            "hash": self._place.hash,
            "records": self._records,
            "checkpoints": self._checkpoints,
            "digest": self._digest.hexdigest(),
            "time": instant_text(at),
            "key_id": key.public.id,
        }
        return self._lines([{_KIND: "end", **statement, "signature": key.sign(EXPORT, statement)}])

    def _lines(self, documents: Iterable[Mapping[str, Any]]) -> bytes:
        text = b"".join(canonical(one) + b"\n" for one in documents)
        self._digest.update(text)
        return text


def key_document(key: PublicKey) -> dict[str, Any]:
    """A public key as a line."""
    created = None if key.created_at is None else instant_text(key.created_at)
    return {_KIND: "key", "key_id": key.id, "public_key": key.text, "created_at": created}


def anchor_document(anchor: Anchor) -> dict[str, Any]:
    """An anchor as a line."""
    return {_KIND: "anchor", **anchor.statement(), "signature": anchor.signature}


def checkpoint_document(checkpoint: Checkpoint, key: PublicKey | None = None) -> dict[str, Any]:
    """A checkpoint as a line; with ``key`` it can be verified alone."""
    whole = {_KIND: "checkpoint", **checkpoint.statement(), "signature": checkpoint.signature}
    return whole if key is None else {**whole, "public_key": key.text}


def read_checkpoints(lines: Iterable[bytes]) -> Iterator[tuple[Checkpoint, PublicKey | None]]:
    """The checkpoints among ``lines`` (copies from a bucket, or an older export), with the key where it stands with one or
    before it. Raises :class:`ChainBroken` for what is no line of ours."""
    keys: dict[str, PublicKey] = {}
    for line in lines:
        if not line.strip():
            continue
        document = _parsed(line, "The file of checkpoints")
        if document.get(_KIND) == "key":
            key = _key(document)
            keys[key.id] = key
        if document.get(_KIND) == "checkpoint":
            text = document.pop("public_key", None)
            checkpoint = _checkpoint(document)
            own = None if text is None else _key({"key_id": checkpoint.key_id, "public_key": text})
            yield checkpoint, own or keys.get(checkpoint.key_id)


def read_keys(lines: Iterable[bytes]) -> Iterator[PublicKey]:
    """Public keys: lines of an export or of copied checkpoints, or base64 a line. Raises as :func:`read_checkpoints`, and
    ``ValueError`` for what is no key."""
    for line in lines:
        if not line.startswith(b"{"):
            if line.strip():
                yield public_key_of(line.decode("ascii", "replace").strip())
            continue
        document = _parsed(line, "The file of keys")
        if "public_key" in document:
            yield _key(document)


def verify_lines(
    lines: Iterable[bytes],
    *,
    trusted: Sequence[PublicKey] = (),
    known: Sequence[tuple[Checkpoint, PublicKey | None]] = (),
    is_part: bool = False,
) -> Report:
    """Verify an export. ``trusted`` are the keys that count; without them the file's own do, which finds whatever was changed by
    somebody who has not the signing key. ``known`` are checkpoints that were kept elsewhere: only they show that a whole export
    is an old one. One that begins later than the chain must have the anchor of what was pruned, but for ``is_part``. Never
    raises :class:`ChainBroken`: the report holds it."""
    reading = _Reading(trusted, known, is_part)
    try:
        for line in lines:
            reading.take(line)
        reading.finish()
    except ChainBroken as fault:
        return reading.report(fault)
    return reading.report(None)


class _Reading:
    """The state of one verification."""

    def __init__(
        self, trusted: Sequence[PublicKey], known: Sequence[tuple[Checkpoint, PublicKey | None]], is_part: bool
    ) -> None:
        self._trusted = {key.id: key for key in trusted}
        self._known = known
        self._is_part = is_part
        self._anchor: Anchor | None = None
        self._keys: dict[str, PublicKey] = {}
        self._digest = hashlib.sha256()
        self._header: dict[str, Any] | None = None
        self._walk: Walk | None = None
        self._signers: set[str] = set()
        self._ended = False
        self._number = 0

    def take(self, line: bytes) -> None:
        """The next line."""
        self._number += 1
        if self._ended:
            raise ChainBroken(f"Line {self._number} comes after the end: it was added.")
        document = _parsed(line, f"Line {self._number}")
        kind = document.pop(_KIND, None)
        if self._header is None:
            if kind != "header":
                raise ChainBroken(
                    "The file does not begin with a header: it is no export, or its beginning is missing."
                )
            self._header = _header(document)
        elif kind == "key" and self._walk is None:
            key = _key(document)
            self._keys[key.id] = key
        elif kind == "anchor" and self._walk is None and self._anchor is None:
            self._anchor = _anchor(document)
            self._signers.add(self._anchor.key_id)
        elif kind == "record":
            self._record(document)
        elif kind == "checkpoint":
            checkpoint = _checkpoint(document)
            self._walking().checkpoint(checkpoint)
            self._signers.add(checkpoint.key_id)
        elif kind == "end":
            self._end(document, line)
        else:
            raise ChainBroken(f"Line {self._number} is of a kind that does not belong there: {str(kind)[:40]!r}.")
        self._digest.update(line)

    def finish(self) -> None:
        """There are no more lines."""
        if self._header is None:
            raise ChainBroken("The file is empty.")
        walk = self._walking()
        if not self._ended:
            last = walk.place.sequence
            raise ChainBroken(
                f"The file was cut off: it has no end, and its last whole record is {last}.", sequence=last + 1
            )
        walk.end()

    def report(self, fault: ChainBroken | None) -> Report:
        """What was found."""
        header, walk = self._header or {}, self._walk
        first = int(header.get("from", 1))
        return Report(
            chain=str(header.get("chain", "")),
            first=first,
            last=walk.place.sequence if walk else first - 1,
            records=walk.records if walk else 0,
            checkpoints=walk.checkpoints if walk else 0,
            unsealed=walk.unsealed if walk else 0,
            keys=tuple(sorted(self._signers)),
            pruned_at=self._anchor.time if self._anchor else None,
            sequence=fault.sequence if fault else None,
            why=fault.detail if fault else None,
        )

    def _record(self, document: dict[str, Any]) -> None:
        sequence, claimed = document.get("sequence"), document.pop("signature", None)
        if not isinstance(sequence, int) or isinstance(sequence, bool) or not isinstance(claimed, str):
            raise ChainBroken(f"Line {self._number} is a record without a sequence or a signature.")
        try:
            text = canonical(document)
        except ValueError as error:
            raise ChainBroken(f"Record {sequence} was changed: {error}.", sequence=sequence) from error
        self._walking().record(sequence, text, claimed)

    def _end(self, document: dict[str, Any], line: bytes) -> None:
        whole = {_KIND: "end", **document}
        walk, digest = self._walking(), self._digest.hexdigest()
        signature, name = document.pop("signature", None), str(document.get("key_id"))
        key = self._counting().get(name)
        if key is None:
            raise ChainBroken(f"The end is signed with the key {name[:64]}, which is none of those that count.")
        last = document.get("to")
        if isinstance(last, int) and last > walk.place.sequence:
            missing = walk.place.sequence + 1
            raise ChainBroken(
                f"Record {missing} is missing: the file's end says that it reaches {last}.", sequence=missing
            )
        # Every other line's bytes are in the digest; this one's are what they can only be.
        if (
            not isinstance(signature, str)
            or not _is_signed(key, document, signature)
            or canonical(whole) + b"\n" != line
        ):
            raise ChainBroken("The file's end was changed: its signature is not good.")
        if document.get("digest") != digest or document.get("chain") != (self._header or {}).get("chain"):
            raise ChainBroken(
                "The file was changed in a place that no record shows: in its header, its keys, a checkpoint left out, or the"
                " way that it is written."
            )
        self._signers.add(name)
        self._ended = True

    def _counting(self) -> Mapping[str, PublicKey]:
        return self._trusted or self._keys

    def _walking(self) -> Walk:
        if self._walk is None:
            header = self._header or {}
            keys = dict(self._counting())
            keys.update({key.id: key for _, key in self._known if key is not None})
            self._walk = Walk(
                chain=header["chain"],
                start=Place(header["from"] - 1, header["previous"]),
                keys=keys,
                known=[checkpoint for checkpoint, _ in self._known],
                anchor=self._anchor,
                is_part=self._is_part,
            )
        return self._walk


def _is_signed(key: PublicKey, statement: Mapping[str, Any], signature: str) -> bool:
    return is_signed(key, EXPORT, statement, signature)


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise ChainBroken(f"{where} is longer than any line of an export.")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ChainBroken(f"{where} is not whole: it is no JSON.") from error
    if not isinstance(document, dict):
        raise ChainBroken(f"{where} is no line of an export.")
    return document


def _header(document: dict[str, Any]) -> dict[str, Any]:
    first, chain, previous = document.get("from"), document.get("chain"), document.get("previous")
    if document.get("format") != FORMAT:
        raise ChainBroken(f"The file's format is {str(document.get('format'))[:40]!r}; this version reads {FORMAT}.")
    if not isinstance(first, int) or first < 1 or not isinstance(chain, str) or not _is_hash(previous):
        raise ChainBroken("The file's header was changed: it does not say what the first record follows.")
    return document


def _key(document: Mapping[str, Any]) -> PublicKey:
    try:
        key = public_key_of(str(document.get("public_key")))
    except ValueError as error:
        raise ChainBroken(f"A key was changed: {error}.") from error
    if key.id != document.get("key_id"):
        raise ChainBroken(f"The key {str(document.get('key_id'))[:64]} was changed: its id is that of another.")
    return key


def _checkpoint(document: Mapping[str, Any]) -> Checkpoint:
    try:
        return msgspec.convert({name: document[name] for name in document if name != _KIND}, _StrictCheckpoint).plain()
    except msgspec.ValidationError as error:
        raise ChainBroken(f"A checkpoint was changed: {error}.") from error


def _anchor(document: Mapping[str, Any]) -> Anchor:
    try:
        return msgspec.convert(document, _StrictAnchor).plain()
    except msgspec.ValidationError as error:
        raise ChainBroken(f"The anchor was changed: {error}.") from error


class _StrictAnchor(Anchor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def plain(self) -> Anchor:
        return Anchor(**msgspec.structs.asdict(self))


class _StrictCheckpoint(Checkpoint, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def plain(self) -> Checkpoint:
        return Checkpoint(**msgspec.structs.asdict(self))


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
