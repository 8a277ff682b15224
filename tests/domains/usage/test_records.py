"""Lines of an export: whole, and harmless in a spreadsheet."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.usage.model.records import csv_line


@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2))
def test_a_reader_of_csv_gets_every_text_back_but_for_the_apostrophe(cells: list[str]) -> None:
    (row,) = csv.reader(io.StringIO(csv_line(cells), newline=""), strict=True)
    assert [cell.removeprefix("'") if cell != given else cell for cell, given in zip(row, cells, strict=True)] == cells


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")'])
def test_a_text_that_would_be_a_formula_begins_with_an_apostrophe(text: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_line([text, "end"]), newline=""))
    assert row[0] == "'" + text


def test_numbers_truth_and_nothing_are_written_plainly() -> None:
    assert csv_line([1, -2.5, True, False, None, "a"]) == "1,-2.5,true,false,,a\r\n"
