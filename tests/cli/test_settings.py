"""What is wrong with the settings is said in plain words, all of it at once."""

from pathlib import Path

import pytest

from samovar.app.settings import SettingsInvalid, load
from tests.cli.conftest import Terminal


def test_wrong_settings_are_all_named_at_once_and_in_plain_words(terminal: Terminal) -> None:
    wrong = {"SAMOVAR_PORT": "http", "SAMOVAR_WORKERS": "0", "SAMOVAR_DATABASE_URL": "mysql://x"}
    done = terminal.type("serve", settings=wrong)
    assert done.status == 2
    for name in wrong:
        assert f"- {name}: " in done.err


def test_a_contradiction_is_told_beside_what_is_wrong_by_itself(terminal: Terminal, tmp_path: Path) -> None:
    wrong = {"SAMOVAR_PORT": "http", "SAMOVAR_WORKERS": "3", "ADMIN_TOKEN": "x", "AZURE_OPENAI_API_KEY": "k"}
    file = tmp_path / "other.toml"
    file.write_text('prot = 1\nhost = "127.0.0.2"\n')
    done = terminal.type("serve", settings=wrong | {"SAMOVAR_CONFIG": str(file)})
    assert done.status == 2
    for said in (
        "SAMOVAR_PORT: ",
        "SAMOVAR_WORKERS=3 needs SAMOVAR_REDIS_URL",
        "ADMIN_TOKEN: ",
        "is configured by its key and needs its address",
        "other.toml: there is no setting 'prot'",
    ):
        assert f"- {said}" in done.err or said in done.err


def test_the_doctor_names_settings_that_there_are_not(terminal: Terminal) -> None:
    done = terminal.type("doctor", "--json", settings={"SAMOVAR_PROT": "9000"})
    assert "SAMOVAR_PROT" in done.out
    assert "SAMOVAR_PORT" in done.out


def test_a_role_that_there_is_not_is_refused_with_those_there_are(terminal: Terminal) -> None:
    done = terminal.type("serve", settings={"SAMOVAR_ROLES": "cook", "SAMOVAR_CREDENTIAL_TRIES": "often"})
    assert done.status == 2
    assert "SAMOVAR_ROLES: unknown role 'cook'; there are admin, all, gateway" in done.err
    assert "SAMOVAR_CREDENTIAL_TRIES: 'often' is not a limit" in done.err


def test_a_second_limit_on_wrong_keys_is_refused_and_not_passed_over(terminal: Terminal) -> None:
    done = terminal.type("serve", settings={"SAMOVAR_CREDENTIAL_TRIES": "20/minute;100/hour"})
    assert done.status == 2
    assert "SAMOVAR_CREDENTIAL_TRIES: must be one limit, such as 20/minute" in done.err


def test_provider_keys_in_the_file_are_refused_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "samovar.toml").write_text('[provider_keys]\nopenai = "sk-of-the-file"\n')
    with pytest.raises(SettingsInvalid) as refused:
        load(folder=tmp_path)
    assert refused.value.flaws == ["samovar.toml: there is no setting 'provider_keys'"]


def test_a_secret_in_wrong_settings_is_not_repeated(terminal: Terminal) -> None:
    done = terminal.type("keys", "list", settings={"ADMIN_TOKEN": "hush", "SAMOVAR_MASTER_KEY": "x"})
    assert done.status == 2
    assert "ADMIN_TOKEN" in done.err
    assert "hush" not in done.err


def test_an_unknown_option_ends_with_status_2(terminal: Terminal) -> None:
    assert terminal.type("serve", "--prot", "1").status == 2
