"""Callers without a credential, on surfaces that are open to all."""

import pytest

from samovar.app.settings import Profile, Settings
from samovar.domains.identity.model import DEFAULT_TEAM_ID, OpenSurface, Permission, require, visitor
from samovar.kernel.errors import Forbidden

PROMPTS = frozenset({OpenSurface.PROMPTS_READ})


def opened(**given: object) -> frozenset[OpenSurface]:
    return Settings(_env_file=None, **given).opened  # type: ignore[call-arg, arg-type]


def test_a_visitor_may_do_what_its_surface_is_for_and_nothing_else() -> None:
    reader = visitor(OpenSurface.PROMPTS_READ)
    assert reader.team_id == DEFAULT_TEAM_ID
    require(reader, Permission.PROMPTS_READ)
    for permission in set(Permission) - {Permission.PROMPTS_READ}:
        with pytest.raises(Forbidden, match="visitor"):
            require(reader, permission)
    assert visitor(OpenSurface.VISION).permissions == {Permission.GATEWAY_CALL}


def test_only_on_loopback_without_proxies_are_prompts_open_unasked() -> None:
    assert opened() == PROMPTS
    assert opened(host="192.0.2.1") == frozenset()
    assert opened(trusted_proxies="10.0.0.0/8") == frozenset()
    assert opened(profile=Profile.SCALED) == frozenset()


def test_what_is_said_to_be_open_is_open_and_off_is_nothing() -> None:
    assert opened(open="off") == frozenset()
    assert opened(open="vision", host="192.0.2.1") == {OpenSurface.VISION}
    assert opened(open="vision, prompts:read") == set(OpenSurface)


@pytest.mark.parametrize("wrong", ["off,vision", "prompts:write", "all"])
def test_what_cannot_be_opened_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="open"):
        opened(open=wrong)
