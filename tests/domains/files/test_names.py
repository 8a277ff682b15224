"""Stored names: whatever a file was called, it cannot lead anywhere."""

import re
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.files.model.names import (
    base_name,
    file_id_of,
    is_file_id,
    number_of,
    plain_filename,
    slug,
    stored_path,
)
from samovar.kernel.ids import hex_of_ulid, ulid
from samovar.ports.element_rules import ATTRIBUTES_SUFFIX, check_path

AT = datetime(2026, 11, 21, 13, 31, tzinfo=UTC)
ID = file_id_of(hex_of_ulid(ulid(1_790_000_000_000, 2**79 + 12345)))
TRICKS = [
    "../../etc/passwd",
    "..\\..\\windows\\system32\\config",
    "/etc/shadow",
    "C:\\boot.ini",
    "....//....//x",
    "nul\0.txt",
    "a\r\nSet-Cookie: x=1.txt",
    "\x1b[31mred.txt",
    ".bashrc",
    "...",
    "CON",
    "aux.txt",
    "com1.tar.gz",
    "x.attr.json",
    "invoice\u202efdp.exe",
    " leading and trailing . ",
    "é" * 127,
    "漢" * 85,
    "👩‍👩‍👧‍👦" * 20,
    "a" * 300 + ".pdf",
    "\ud800.txt",
    "%2e%2e%2f",
    "~root",
    "-rf",
    "",
]
names = st.one_of(st.text(), st.sampled_from(TRICKS), st.text(alphabet="./\\ \0漢é\u0301\u202e"))


def stored(filename: str, owner: str = "ann") -> str:
    return stored_path(file_id=ID, filename=filename, owner=owner, created_at=AT)


def test_a_name_says_when_what_and_whose() -> None:
    assert stored("Quarterly Report.PDF", "Ann Lee") == (
        f"2026/11/21/13/Quarterly-Report_Ann-Lee_20261121T133100Z_{ID}.pdf"
    )


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_make_harmless_names(trick: str) -> None:
    assert_harmless(stored(trick, owner=trick))


@given(names, names)
def test_any_text_makes_a_harmless_name(filename: str, owner: str) -> None:
    assert_harmless(stored(filename, owner))


def assert_harmless(path: str) -> None:
    folder, _, name = path.rpartition("/")
    assert folder == "2026/11/21/13"
    assert ID in name
    assert len(f"{name}{ATTRIBUTES_SUFFIX}.part".encode()) <= 255
    assert not name.startswith((".", "-", "_"))
    assert not name.endswith((".", " ", ATTRIBUTES_SUFFIX))
    assert re.fullmatch(
        r"[^\W_]?[\w-]*(\.[a-z0-9]{1,16})?", "".join(c for c in name if unicodedata.category(c)[0] != "M")
    )
    # A device of Windows is one by what stands before the first point.
    assert name.partition(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}
    check_path(path)


@given(st.text(), st.integers(0, 120))
def test_a_cut_name_ends_between_characters(text: str, most: int) -> None:
    found = slug(text, most)
    assert len(found.encode()) <= most
    assert found in "".join(slug(text, 10**6))


@given(names)
def test_a_file_is_downloaded_under_a_plain_last_part(filename: str) -> None:
    found = base_name(plain_filename(filename))
    assert found
    assert not set(found) & set("/\\\0\r\n")


def test_the_given_name_is_kept_but_for_what_no_header_holds() -> None:
    assert plain_filename("Отчёт (1) ../x.pdf") == "Отчёт (1) ../x.pdf"
    assert plain_filename("a\0b\r\nc\ud800") == "a\ufffdb\ufffd\ufffdc\ufffd"


@given(st.integers(0, 2**43 - 2), st.integers(0, 2**80 - 1), st.integers(0, 2**80 - 1))
def test_ids_are_uuids_of_version_7_and_sort_by_birth(at_ms: int, chance: int, other: int) -> None:
    first = file_id_of(hex_of_ulid(ulid(at_ms, chance)))
    later = file_id_of(hex_of_ulid(ulid(at_ms + 1, other)))
    assert is_file_id(first)
    assert first < later
    assert 0 <= number_of(first) < number_of(later) < 2**63


def test_ids_of_one_moment_are_told_apart_by_their_last_bits() -> None:
    made = {file_id_of(hex_of_ulid(ulid(5, (7 << 20) | count))) for count in range(1000)}
    assert len(made) == 1000
    assert len({number_of(one) for one in made}) == 1000
