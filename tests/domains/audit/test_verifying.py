"""Whatever is done to an exported chain by who has not the signing key is found."""

import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.audit.model import (
    Checkpoint,
    Place,
    PublicKey,
    Record,
    Result,
    SigningKey,
    Writing,
    entry_of,
    read_checkpoints,
    verify_lines,
)
from samovar.domains.audit.model.exports import checkpoint_document
from samovar.domains.audit.model.records import canonical, chained, follow, genesis

CHAIN = "chain_of_the_tests"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVERY = 4
RECORDS = 10


@cache
def signing_key() -> SigningKey:
    return SigningKey(os.urandom(32))


def records(count: int, *, named: str = "key") -> list[Record]:
    place = Place(0, genesis(CHAIN))
    found = []
    for number in range(1, count + 1):
        entry = entry_of(
            id=f"aud_{number}",
            at=NOON + timedelta(seconds=number),
            service="tests",
            action="key:create",
            user_id="admin",
            resource=f"{named}:{number}",
            result=Result.SUCCESS,
            metadata={"status": 201, "имя": "left out", "name": "Самовар \u2028 \0 \ud800"},
        )
        found.append(follow(place, entry))
        place = Place(number, found[-1].hash)
    return found


def checkpoints(of: list[Record], key: SigningKey) -> list[Checkpoint]:
    sealed = [record for record in of if record.sequence % EVERY == 0 or record is of[-1]]
    before = 0
    found = []
    for record in sealed:
        count = record.sequence - before
        found.append(key.checkpoint(chain=CHAIN, sequence=record.sequence, hash=record.hash, count=count, at=NOON))
        before = record.sequence
    return found


def export(of: list[Record], key: SigningKey, *, first: int = 1) -> list[bytes]:
    start = Place(first - 1, genesis(CHAIN) if first == 1 else of[first - 2].hash)
    writing = Writing(chain=CHAIN, start=start)
    told = [one for one in checkpoints(of, key) if one.sequence >= first]
    pieces = [writing.head([key.public]), writing.body(of[first - 1 :], told), writing.end(key, NOON)]
    return b"".join(pieces).splitlines(keepends=True)


@cache
def good_lines() -> tuple[bytes, ...]:
    return tuple(export(records(RECORDS), signing_key()))


def lines_of(kind: str) -> list[int]:
    return [number for number, line in enumerate(good_lines()) if json.loads(line)["kind"] == kind]


def test_an_export_that_nobody_touched_is_good() -> None:
    report = verify_lines(good_lines())
    assert report.is_good, report.why
    assert (report.records, report.checkpoints, report.unsealed, report.last) == (RECORDS, 3, 0, RECORDS)
    assert verify_lines(good_lines(), trusted=[signing_key().public]).is_good


def test_a_part_of_the_chain_is_verified_from_where_it_begins() -> None:
    part = export(records(RECORDS), signing_key(), first=6)
    report = verify_lines(part, is_part=True)
    assert (report.is_good, report.first, report.last, report.records) == (True, 6, RECORDS, 5)
    taken_for_whole = verify_lines(part)
    assert (taken_for_whole.sequence, "The beginning is missing" in str(taken_for_whole.why)) == (1, True)


def test_not_even_a_space_is_added_unseen() -> None:
    for at in range(len(good_lines())):
        lines = list(good_lines())
        lines[at] = lines[at].removesuffix(b"\n") + b" "
        assert not verify_lines(lines).is_good


@given(st.data())
def test_any_change_of_a_single_byte_is_found(data: st.DataObject) -> None:
    whole = b"".join(good_lines())
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    changed = whole[:at] + bytes([other]) + whole[at + 1 :]
    assert not verify_lines(io.BytesIO(changed)).is_good


@given(st.data())
def test_any_line_that_is_taken_out_is_missed(data: st.DataObject) -> None:
    lines = list(good_lines())
    start = data.draw(st.integers(0, len(lines) - 1))
    stop = data.draw(st.integers(start + 1, len(lines)))
    assert not verify_lines(lines[:start] + lines[stop:]).is_good


@given(st.data())
def test_any_two_lines_that_changed_places_are_found(data: st.DataObject) -> None:
    lines = list(good_lines())
    one, other = data.draw(st.tuples(*[st.integers(0, len(lines) - 1)] * 2).filter(lambda pair: pair[0] != pair[1]))
    lines[one], lines[other] = lines[other], lines[one]
    assert not verify_lines(lines).is_good


@given(st.data())
def test_any_line_that_is_said_twice_or_added_is_found(data: st.DataObject) -> None:
    lines = list(good_lines())
    what, where = data.draw(st.sampled_from(lines)), data.draw(st.integers(0, len(lines)))
    assert not verify_lines([*lines[:where], what, *lines[where:]]).is_good


@given(cut=st.integers(0, len(b"".join(good_lines())) - 1))
def test_a_file_that_was_cut_off_anywhere_is_found(cut: int) -> None:
    whole = b"".join(good_lines())
    assert not verify_lines(io.BytesIO(whole[:cut])).is_good


@pytest.mark.parametrize("number", range(1, RECORDS + 1))
def test_the_record_that_was_changed_or_removed_is_named(number: int) -> None:
    lines = list(good_lines())
    at = lines_of("record")[number - 1]
    changed = verify_lines([*lines[:at], lines[at].replace(b'"admin"', b'"nadim"'), *lines[at + 1 :]])
    assert (changed.sequence, f"Record {number} was changed" in str(changed.why)) == (number, True)
    removed = verify_lines(lines[:at] + lines[at + 1 :])
    assert (removed.sequence, f"Record {number} is missing" in str(removed.why)) == (number, True)


def test_records_that_changed_places_are_named() -> None:
    lines = list(good_lines())
    one, two = lines_of("record")[4:6]
    lines[one], lines[two] = lines[two], lines[one]
    report = verify_lines(lines)
    assert (report.sequence, report.why) == (5, "Record 5 is missing: after 4 comes 6.")


def forged(change: Callable[[int], str], *, key: SigningKey | None = None) -> list[bytes]:
    """An export by somebody who knows the form: every hash fits, and what must be signed is signed by ``key``, or stays."""
    honest, mine = list(good_lines()), records(RECORDS)
    place = Place(0, genesis(CHAIN))
    by: dict[int, tuple[bytes, str]] = {}
    for record in mine:
        line = json.loads(honest[lines_of("record")[record.sequence - 1]])
        line.pop("kind")
        line.pop("signature")
        line["resource"] = change(record.sequence)
        text = canonical(line)
        place = Place(record.sequence, chained(place.hash, text))
        by[record.sequence] = canonical({**line, "kind": "record", "signature": place.hash}) + b"\n", place.hash
    lines = [by[json.loads(line)["sequence"]][0] if b'"kind":"record"' in line else line for line in honest]
    if key is None:
        return lines
    return [_signed_anew(line, by, key) for line in lines]


def _signed_anew(line: bytes, by: dict[int, tuple[bytes, str]], key: SigningKey) -> bytes:
    document = json.loads(line)
    if document["kind"] == "key":
        document.update(key_id=key.public.id, public_key=key.public.text)
    if document["kind"] == "checkpoint":
        sequence, count = document["sequence"], document["count"]
        made = key.checkpoint(chain=CHAIN, sequence=sequence, hash=by[sequence][1], count=count, at=NOON)
        document = checkpoint_document(made)
    return canonical(document) + b"\n"


def test_a_chain_that_was_hashed_anew_stumbles_over_its_first_checkpoint() -> None:
    report = verify_lines(forged(lambda number: "key:forged" if number == 2 else f"key:{number}"))
    assert report.sequence == EVERY
    assert "hashed anew" in str(report.why)


def test_a_chain_that_was_signed_anew_is_found_by_who_knows_the_key() -> None:
    thief = SigningKey(os.urandom(32))
    report = verify_lines(
        forged(lambda number: "key:forged" if number == 2 else f"key:{number}", key=thief),
        trusted=[signing_key().public],
    )
    assert "none of those that count" in str(report.why)


def test_an_old_export_is_found_by_a_checkpoint_that_was_kept() -> None:
    key, all_records = signing_key(), records(RECORDS)
    old = export(all_records[:6], key)
    assert verify_lines(old).is_good
    kept = checkpoints(all_records, key)[-1]
    report = verify_lines(old, known=[(kept, None)])
    assert (report.sequence, "was cut off" in str(report.why)) == (7, True)


def test_another_history_is_found_by_a_checkpoint_that_was_kept() -> None:
    key = signing_key()
    kept = checkpoints(records(RECORDS), key)[0]
    report = verify_lines(export(records(RECORDS, named="other"), key), known=[(kept, None)])
    assert report.sequence == EVERY


@pytest.mark.parametrize("is_first", [True, False])
def test_histories_that_forked_are_found_whichever_checkpoint_is_read_first(is_first: bool) -> None:
    key = signing_key()
    kept = [checkpoints(records(RECORDS, named=name), key)[0] for name in ("key", "other")]
    report = verify_lines(good_lines(), known=[(one, None) for one in (kept if is_first else kept[::-1])])
    assert report.sequence == EVERY


@pytest.mark.parametrize("depth", [100, 5_000, *range(930, 980, 2)])
def test_no_depth_confuses_the_verifier(depth: int) -> None:
    lines = list(good_lines())
    for at in range(len(lines)):
        nested = lines[at].rstrip()[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}\n"
        assert not verify_lines([*lines[:at], nested, *lines[at + 1 :]]).is_good


def test_a_kept_checkpoint_must_itself_be_whole_and_of_this_chain() -> None:
    key = signing_key()
    kept = checkpoints(records(RECORDS), key)[0]
    line = canonical(checkpoint_document(kept, key.public)) + b"\n"
    ((read, own),) = read_checkpoints([line])
    assert (read, own) == (kept, PublicKey(id=key.public.id, text=key.public.text))
    ((changed, _),) = read_checkpoints([line.replace(b'"sequence":4', b'"sequence":3')])
    assert "its signature is not good" in str(verify_lines(good_lines(), known=[(changed, own)]).why)
    other = key.checkpoint(chain="another", sequence=4, hash=kept.hash, count=4, at=NOON)
    assert "of another chain" in str(verify_lines(good_lines(), known=[(other, own)]).why)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_file_whatever_confuses_the_verifier(lines: list[bytes]) -> None:
    assert not verify_lines(lines).is_good


@given(st.lists(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), max_size=3), st.data())
def test_no_odd_value_in_a_line_confuses_the_verifier(values: list[object], data: st.DataObject) -> None:
    lines = list(good_lines())
    at = data.draw(st.integers(0, len(lines) - 1))
    document = json.loads(lines[at])
    name = data.draw(st.sampled_from(sorted(document)))
    changed = {**document, name: values}
    assert not verify_lines([*lines[:at], json.dumps(changed).encode() + b"\n", *lines[at + 1 :]]).is_good


def test_only_what_has_one_text_is_hashed() -> None:
    assert canonical({"b": [1, True, None], "a": "é\n\u2028"}) == '{"a":"é\\n\u2028","b":[1,true,null]}'.encode()
    for value in (1.5, 2**53, -(2**53), b"", object(), {"ключ": 1}):
        with pytest.raises(ValueError, match=r"."):
            canonical({"x": value})
