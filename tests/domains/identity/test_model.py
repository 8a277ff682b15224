"""The rules of identity that need nothing but themselves."""

import base64
import re
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.identity.errors import BeyondOwnRights
from samovar.domains.identity.model import (
    MODEL_PATTERN,
    PERMISSIONS,
    SERVICE_ROLE_OF,
    IssuedKey,
    Key,
    KeyState,
    OpenSurface,
    Permission,
    PersonRole,
    Scope,
    ServiceRole,
    administrator,
    check_within_rights,
    digest_of,
    has_key_shape,
    is_model_pattern,
    key_hint,
    key_text,
    model_allowed,
    permissions_of,
    require,
)
from samovar.kernel.errors import Forbidden
from samovar.kernel.principal import Principal, PrincipalKind

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
names = st.text("ab/.:-", min_size=1, max_size=6).map(lambda rest: "m" + rest)
patterns = st.one_of(names, names.map(lambda name: name + "*"), st.just("*"))


def a_key(**fields: object) -> Key:
    plain: dict[str, object] = {
        "id": "key_1",
        "team_id": "default",
        "name": "laptop",
        "hint": "sk-samovar-abcd…",
        "scopes": (Scope.GATEWAY,),
        "allowed_models": None,
        "created_at": NOON,
        "created_by": "admin",
    }
    return Key(**{**plain, **fields})  # type: ignore[arg-type]  # the fields a test names


def a_maker(kind: PrincipalKind = PrincipalKind.PERSON, **fields: object) -> Principal:
    plain: dict[str, object] = {
        "id": "p",
        "kind": kind,
        "team_id": "default",
        "name": "Pavel",
        "permissions": permissions_of([Scope.KEYS, Scope.GATEWAY]),
    }
    return Principal(**{**plain, **fields})  # type: ignore[arg-type]  # the fields a test names


def test_every_role_and_scope_has_its_row_in_the_one_table() -> None:
    assert set(PERMISSIONS) == {*ServiceRole, *Scope, *OpenSurface}
    assert set(SERVICE_ROLE_OF) == set(PersonRole)


def test_owner_and_admin_may_everything_and_an_auditor_may_change_nothing() -> None:
    assert permissions_of([PersonRole.OWNER]) == permissions_of([PersonRole.ADMIN]) == frozenset(Permission)
    assert not {p for p in permissions_of([PersonRole.AUDITOR]) if not p.endswith(":read")}


def test_scopes_add_up() -> None:
    both = permissions_of([Scope.MODELS, Scope.USAGE])
    assert both == {Permission.MODELS_READ, Permission.USAGE_READ}


def test_a_gateway_key_may_call_and_may_not_make_keys() -> None:
    caller = a_key().principal()
    require(caller, Permission.GATEWAY_CALL)
    with pytest.raises(Forbidden, match="'keys:write'"):
        require(caller, Permission.KEYS_WRITE)


def test_the_admin_token_may_everything_in_the_default_team() -> None:
    for permission in Permission:
        require(administrator(), permission)
    assert administrator().team_id == "default"


@given(st.binary(min_size=32, max_size=32))
def test_every_32_random_bytes_make_a_key_of_the_right_shape(entropy: bytes) -> None:
    token = base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()
    assert has_key_shape(key_text(token))


@given(st.text(max_size=60))
def test_no_other_text_has_the_shape_of_a_key(text: str) -> None:
    expected = text.startswith("sk-samovar-") and len(text) == 54 and all(char in URL_SAFE for char in text[11:])
    assert has_key_shape(text) is expected


@given(st.text(URL_SAFE, min_size=42, max_size=44), st.sampled_from(["", " ", "\n", "\x00", "é", "=", "٣"]))
def test_a_key_with_anything_missing_or_added_has_not_the_shape(token: str, added: str) -> None:
    assert has_key_shape("sk-samovar-" + token + added) is (len(token) == 43 and added == "")


def test_a_short_token_makes_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        key_text("short")


def test_the_hint_shows_four_characters_of_the_secret() -> None:
    assert key_hint("sk-samovar-ab12" + "x" * 39) == "sk-samovar-ab12…"


@given(st.text())
def test_any_text_has_a_digest_even_one_that_is_no_unicode(text: str) -> None:
    assert len(digest_of(text)) == len(digest_of(text + "\ud800")) == 32


def test_a_secret_is_in_no_repr() -> None:
    secret = key_text(token_urlsafe(32))
    assert secret[15:] not in repr(IssuedKey(key=a_key(), secret=secret))


@given(names, names)
def test_a_plain_name_allows_itself_alone(one: str, other: str) -> None:
    assert model_allowed((one,), other) is (one == other)


@given(names, st.text(max_size=8))
def test_a_star_allows_everything_that_begins_so(beginning: str, rest: str) -> None:
    assert model_allowed((beginning + "*",), beginning + rest)
    assert model_allowed(("*",), beginning + rest)


def test_a_providers_star_does_not_reach_a_provider_with_a_longer_name() -> None:
    assert model_allowed(("openai/*",), "openai/gpt-5")
    assert not model_allowed(("openai/*",), "openai-eu/gpt-5")
    assert not model_allowed(("openai/*",), "OPENAI/gpt-5")
    assert not model_allowed((), "openai/gpt-5")
    assert model_allowed(None, "anything/at-all")


@given(st.text(max_size=12))
def test_a_star_stands_only_at_the_end_of_a_pattern(text: str) -> None:
    assert is_model_pattern(text) is (re.fullmatch(r"\*|[A-Za-z0-9][A-Za-z0-9._:@+/-]*\*?", text) is not None)
    if is_model_pattern(text):
        assert "*" not in text[:-1]
        assert text.isascii()
    assert MODEL_PATTERN.startswith("^")


@given(st.lists(patterns, min_size=1, max_size=3), st.lists(patterns, min_size=1, max_size=3), names)
def test_a_key_within_its_makers_models_allows_nothing_its_maker_may_not_use(
    outer: list[str], inner: list[str], model: str
) -> None:
    maker, key = a_maker(allowed_models=tuple(outer)), a_key(allowed_models=tuple(inner))
    try:
        check_within_rights(maker, key)
    except BeyondOwnRights:
        return
    assert not model_allowed(tuple(inner), model) or model_allowed(tuple(outer), model)


def test_nobody_makes_a_key_that_can_do_more_than_they_can() -> None:
    check_within_rights(a_maker(), a_key())
    with pytest.raises(BeyondOwnRights, match="usage:read"):
        check_within_rights(a_maker(), a_key(scopes=(Scope.USAGE,)))
    with pytest.raises(BeyondOwnRights, match="openai"):
        check_within_rights(a_maker(allowed_models=("openai/*",)), a_key())
    check_within_rights(a_maker(allowed_models=("openai/*",)), a_key(allowed_models=("openai/gpt-5*",)))


def test_a_key_makes_no_key_that_outlives_it_but_a_persons_short_token_does() -> None:
    soon, later = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    for end in (None, later):
        with pytest.raises(BeyondOwnRights, match="ends before"):
            check_within_rights(a_maker(PrincipalKind.KEY, expires_at=soon), a_key(expires_at=end))
    check_within_rights(a_maker(PrincipalKind.KEY, expires_at=soon), a_key(expires_at=soon))
    check_within_rights(a_maker(PrincipalKind.PERSON, expires_at=soon), a_key())


def test_a_key_is_over_at_the_very_instant_of_its_end() -> None:
    end = NOON + timedelta(seconds=1)
    before = end - timedelta(microseconds=1)
    assert a_key(expires_at=end).state(before) is KeyState.ACTIVE
    assert a_key(expires_at=end).state(end) is KeyState.EXPIRED
    replaced = a_key(grace_until=end, replaced_by="key_2")
    assert replaced.state(before) is KeyState.REPLACED
    assert replaced.state(end) is KeyState.REVOKED
    assert a_key(revoked_at=NOON, expires_at=NOON).state(NOON) is KeyState.REVOKED


def test_a_principal_ends_with_the_earlier_of_expiry_and_grace() -> None:
    one, two = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    assert a_key(expires_at=two, grace_until=one).principal().expires_at == one
    assert a_key(expires_at=one, grace_until=two).principal().expires_at == one
    assert a_key().principal().expires_at is None
