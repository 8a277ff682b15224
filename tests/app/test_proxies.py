"""Whose address counts, where proxies stand in between."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.app.proxies import believe

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def _client(peer: str | None, *forwarded: str) -> str | None:
    scope: dict[str, Any] = {
        "client": None if peer is None else (peer, 1234),
        "headers": [(b"x-forwarded-for", value.encode("latin-1", "replace")) for value in forwarded],
    }
    believe(scope, TRUSTED)
    found: str | None = scope["client"] and scope["client"][0]
    return found


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1, 198.51.100.1, 10.2.3.4",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1", "198.51.100.1, 10.2.3.4"), "198.51.100.1"),
        ("10.0.0.1", ("10.9.9.9, 10.2.3.4",), "10.9.9.9"),
        ("10.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("10.0.0.1", ("[2001:db8::1]:80",), "2001:db8::1"),
        ("10.0.0.1", ("2001:db8::1",), "2001:db8::1"),
        ("fd00::1", ("198.51.100.1",), "198.51.100.1"),
        ("::ffff:10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1, nonsense, 10.2.3.4",), "10.2.3.4"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        (None, ("198.51.100.1",), None),
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_counts(
    peer: str | None, forwarded: tuple[str, ...], client: str | None
) -> None:
    assert _client(peer, *forwarded) == client


@given(forwarded=st.text())
def test_what_the_caller_writes_does_not_count(forwarded: str) -> None:
    assert _client("203.0.113.9", forwarded) == "203.0.113.9"
    assert _client("10.0.0.1", f"{forwarded}, 198.51.100.1") == "198.51.100.1"
