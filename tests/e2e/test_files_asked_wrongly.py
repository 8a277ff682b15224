"""What callers ask of files that cannot be: each is told so, and nothing breaks or stays."""

import json

import pytest

from tests.e2e.conftest import Samovar
from tests.e2e.storing import ask, form, kept, upload


@pytest.fixture
def store(bare: Samovar) -> Samovar:
    return bare


def test_an_address_with_too_many_parameters_is_refused(store: Samovar) -> None:
    made = upload(store)
    query = "&".join(f"p{number}=1" for number in range(20))
    got = ask(store, "GET", f"{made.headers['location']}/content?{query}")
    assert (got.status, got.json["code"]) == (422, "bad_file")


@pytest.mark.parametrize("bound", ["created_from", "created_to"])
def test_instants_at_the_ends_of_the_calendar_are_bounds_or_refused(store: Samovar, bound: str) -> None:
    for at in ("0001-01-01T00:00:00Z", "2261-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert ask(store, "GET", f"/api/files/search?{bound}={at}").status == 200
    for beyond in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"):
        got = ask(store, "GET", f"/api/files/search?{bound}={beyond}")
        assert (got.status, got.json["errors"][0]["where"]) == (422, bound)


def test_every_file_was_made_before_the_end_of_the_calendar(store: Samovar) -> None:
    made = upload(store, name="calendar.bin").json["file_id"]
    found = ask(store, "GET", "/api/files/search?q=calendar&created_to=9999-12-31T23:59:59Z").json["items"]
    assert [one["file_id"] for one in found] == [made]


def test_fields_behind_a_file_that_do_not_fit_leave_nothing_of_it(store: Samovar) -> None:
    before = kept(store)
    large = json.dumps({f"k{number}": "y" * 250 for number in range(20)}).encode()
    body, kind = form(("file", "a.txt", b"abc"), ("attributes", None, large))
    got = ask(store, "POST", "/api/files/upload", body, Content_Type=kind)
    assert (got.status, got.json["code"]) == (422, "attributes_too_large")
    assert kept(store) == before


def test_a_refusal_is_read_by_who_still_sends(store: Samovar) -> None:
    for _ in range(3):
        # More than the machine's own buffers take.
        got = upload(store, b"x" * 12_000_000, X_Checksum_Sha256="no checksum")
        assert (got.status, got.json["code"]) == (422, "bad_file")
    assert upload(store).status == 201
