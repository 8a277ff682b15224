"""What may be said of a file, and which element takes it."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.files.errors import BadFile, NoElement, RangeBeyond, StorageFull
from samovar.domains.files.http.headers import disposition, is_active, text_of
from samovar.domains.files.http.ranges import Span, Version, is_another, is_unchanged, span_of
from samovar.domains.files.model.choosing import Element, ElementState, Standing, ranked
from samovar.domains.files.model.links import Disposition
from samovar.domains.files.model.media_types import guessed_type
from samovar.domains.files.model.rules import Intent, checked, retention_of
from samovar.ports.elements import Condition, Mode, Provenance, RetentionKind

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PERMANENT, TEMPORARY = RetentionKind.PERMANENT, RetentionKind.TEMPORARY


def flaws(**said: object) -> set[str]:
    with pytest.raises(BadFile) as caught:
        checked(Intent(**{"filename": "a", **said}))  # type: ignore[arg-type]
    return {flaw.where for flaw in caught.value.flaws}


def test_each_flaw_is_named() -> None:
    assert flaws(filename=" ") == {"filename"}
    assert flaws(filename="x" * 1025) == {"filename"}
    assert flaws(tags=("",)) == {"tags"}
    assert flaws(tags=("a\n",)) == {"tags"}
    assert flaws(tags=tuple(map(str, range(33)))) == {"tags"}
    assert flaws(custom={"a b": 1}) == {"attributes.a b"}
    assert flaws(custom={"a": "x" * 257}) == {"attributes.a"}
    assert flaws(custom={"a": math.nan, "b": 2**60}) == {"attributes.a", "attributes.b"}
    assert flaws(ttl_days=0) == flaws(ttl_days=366) == flaws(retention=PERMANENT, ttl_days=3) == {"ttl_days"}
    assert flaws(expected_checksum="abc") == {"checksum"}
    assert flaws(content_type="no type") == flaws(content_type="text/html\r\nx: y") == {"content_type"}
    assert flaws(provenance=Provenance(model="x" * 300)) == {"provenance"}


@pytest.mark.parametrize("number", [-1, 2**64, 10**30])
def test_numbers_of_a_provenance_are_such_as_everything_can_hold(number: int) -> None:
    said = Provenance(prompt_version=number, cost_nano_usd=number)
    assert flaws(provenance=said) == {"provenance.prompt_version", "provenance.cost_nano_usd"}


def test_a_type_is_guessed_where_none_is_said() -> None:
    assert checked(Intent(filename="a.PDF")).content_type == "application/pdf"
    assert checked(Intent(filename="a.pdf", content_type="x/y; a=b")).content_type == "x/y; a=b"
    assert guessed_type("noend") == guessed_type("a.nobody") == "application/octet-stream"
    assert guessed_type("a.tar.gz") == "application/gzip"
    # What Python 3.11 does not know by itself, and people send every day.
    assert guessed_type("folder\\a.WebP") == "image/webp"
    assert guessed_type("a.docx").endswith("wordprocessingml.document")


def test_temporary_files_end_and_permanent_ones_do_not() -> None:
    ends = retention_of(Intent(filename="a"), now=NOW, default_ttl_days=30).expires_at
    assert ends == NOW + timedelta(days=30)
    said = retention_of(Intent(filename="a", ttl_days=365), now=NOW, default_ttl_days=30).expires_at
    assert said == NOW + timedelta(days=365)
    assert retention_of(Intent(filename="a", retention=PERMANENT), now=NOW, default_ttl_days=30).expires_at is None


def standing(
    name: str, mode: Mode, *, free: int | None = 500, capacity: int | None = 1000, away: bool = False, **more: object
) -> Standing:
    made = Element(id=name, url="file:///x", mode=mode, created_at=NOW, updated_at=NOW, **more)  # type: ignore[arg-type]
    condition = None if away else Condition(element_id=name, mode=mode, free_bytes=free, capacity_bytes=capacity)
    return Standing(element=made, condition=condition)


def chosen(kind: RetentionKind, size: int | None, *standings: Standing) -> list[str]:
    return [one.element.id for one in ranked(standings, kind, size)]


def test_temporary_files_go_where_they_can_be_deleted_and_permanent_ones_where_not() -> None:
    edit, rw, ro = (standing(mode.value, mode) for mode in (Mode.EDIT, Mode.RW, Mode.RO))
    assert chosen(TEMPORARY, 1, edit, rw, ro) == ["edit"]
    assert chosen(PERMANENT, 1, edit, rw, ro) == ["rw", "edit"]
    assert chosen(PERMANENT, 1, edit, ro) == ["edit"]
    with pytest.raises(NoElement):
        chosen(TEMPORARY, 1, rw, ro)


def test_room_goes_before_priority_and_priority_before_the_name() -> None:
    full_soon = standing("a", Mode.RW, free=100, priority=1)
    roomy = standing("b", Mode.RW, priority=9)
    first = standing("c", Mode.RW, priority=5)
    assert chosen(PERMANENT, 1, full_soon, roomy, first) == ["c", "b", "a"]


def test_a_critical_element_takes_small_files_only_and_a_full_one_none() -> None:
    critical = standing("a", Mode.RW, free=40 * 10**6, capacity=1000 * 10**6)
    assert chosen(PERMANENT, 1024, critical) == ["a"]
    for size in (None, 2 * 1024 * 1024):
        with pytest.raises(StorageFull):
            chosen(PERMANENT, size, critical)
    with pytest.raises(StorageFull):
        chosen(PERMANENT, 1, standing("a", Mode.RW, free=10))
    with pytest.raises(StorageFull):
        chosen(PERMANENT, 600, standing("a", Mode.RW, free=500))


def test_nothing_goes_to_an_element_that_is_away_or_drained() -> None:
    away = standing("a", Mode.RW, away=True)
    drained = standing("b", Mode.RW, state=ElementState.DRAINING)
    assert chosen(PERMANENT, 1, away, drained, standing("c", Mode.RW)) == ["c"]
    with pytest.raises(NoElement):
        chosen(PERMANENT, 1, away, drained)


def test_a_bucket_that_cannot_tell_its_room_has_plenty_within_its_capacity() -> None:
    bucket = standing("a", Mode.RW, free=None, capacity=None, capacity_bytes=1000)
    assert chosen(PERMANENT, 999, bucket) == ["a"]
    with pytest.raises(StorageFull):
        chosen(PERMANENT, 1001, bucket)


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (b"bytes=0-9", Span(0, 10)),
        (b"bytes=10-", Span(10, 100)),
        (b"bytes=-10", Span(90, 100)),
        (b"bytes=-1000", Span(0, 100)),
        (b"bytes=90-1000", Span(90, 100)),
        (b"Bytes = 1 - 2", Span(1, 3)),
        (b"bytes=0-1,5-6", None),
        (b"bytes=9-1", None),
        (b"bytes=-", None),
        (b"bytes=a-b", None),
        (b"lines=1-2", None),
        (b"bytes=1-99999999999999999999", Span(1, 100)),
        (b"bytes=-99999999999999999999", Span(0, 100)),
    ],
)
def test_one_range_is_read_and_what_is_none_is_passed_over(header: bytes, span: Span | None) -> None:
    assert span_of(header, 100) == span


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"bytes=100-", 100),
        (b"bytes=99999999999999999999-", 100),
        (b"bytes=-0", 100),
        (b"bytes=0-", 0),
        (b"bytes=-1", 0),
    ],
)
def test_a_range_beyond_the_end_is_refused_with_the_length(header: bytes, size: int) -> None:
    with pytest.raises(RangeBeyond) as caught:
        span_of(header, size)
    assert caught.value.headers["Content-Range"] == f"bytes */{size}"


@given(st.binary(max_size=40), st.integers(0, 1000))
def test_any_range_is_within_the_file_or_none(header: bytes, size: int) -> None:
    try:
        found = span_of(b"bytes=" + header, size)
    except RangeBeyond:
        return
    assert found is None or 0 <= found.start < found.end <= size


def test_a_weak_tag_is_good_enough_to_spare_a_download_and_not_to_insist_on_a_version() -> None:
    version = Version(b'"abc"', NOW)
    assert is_unchanged({b"if-none-match": b'W/"abc"'}, version)
    assert is_another({b"if-match": b'W/"abc"'}, version)
    assert not is_another({b"if-match": b'"x", "abc"'}, version)


@pytest.mark.parametrize(
    "kind",
    [
        "text/html",
        "image/svg+xml",
        "application/pdf",
        "text/xsl",
        "multipart/x-mixed-replace; boundary=x",
        "message/rfc822",
        "*/*",
        "image/*",
        "text/plain; x=text/html",
        "application/x-of-tomorrow",
    ],
)
def test_what_is_not_known_to_be_harmless_counts_as_active(kind: str) -> None:
    assert is_active(kind)


@pytest.mark.parametrize("kind", ["image/png", "video/mp4", "audio/ogg; codecs=opus", "text/plain; charset=utf-8"])
def test_pictures_sound_films_and_text_are_shown_as_they_are(kind: str) -> None:
    assert not is_active(kind)


@given(st.text())
def test_any_name_makes_one_line_of_a_header(filename: str) -> None:
    found = disposition(Disposition.INLINE, filename)
    assert not set(found) & set(b"\r\n\0")
    assert found.count(b'"') == 2
    assert found.isascii()


def test_no_name_is_shown_backwards() -> None:
    found = disposition(Disposition.ATTACHMENT, "invoice\u202egpj.exe")
    assert found.endswith(b"filename*=UTF-8''invoice_gpj.exe")


def test_a_name_in_a_header_is_read_in_every_spelling() -> None:
    assert text_of(b"UTF-8''na%C3%AFve.txt", where="x") == "naïve.txt"
    assert text_of(b"na%C3%AFve.txt", where="x") == "naïve.txt"
    assert text_of("naïve.txt".encode(), where="x") == "naïve.txt"
