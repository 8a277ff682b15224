"""What is wrong with the settings is said in plain words, all of it at once."""

from pathlib import Path

import pytest

from samovar.app.settings import SettingsInvalid, load, unknown_names
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
        "AZURE_OPENAI_BASE_URL: Azure OpenAI is configured by its key and needs its address",
        "other.toml: there is no setting 'prot'",
    ):
        assert f"- {said}" in done.err


def test_the_doctor_names_settings_that_there_are_not(terminal: Terminal) -> None:
    done = terminal.type("doctor", "--json", settings={"SAMOVAR_PROT": "9000"})
    assert "SAMOVAR_PROT" in done.out
    assert "SAMOVAR_PORT" in done.out


def test_a_role_that_there_is_not_is_refused_with_those_there_are(terminal: Terminal) -> None:
    done = terminal.type("serve", settings={"SAMOVAR_ROLES": "cook", "SAMOVAR_CREDENTIAL_TRIES": "often"})
    assert done.status == 2
    assert "SAMOVAR_ROLES: unknown role 'cook'; there are admin, all, files, gateway, ingester, " in done.err
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
    assert terminal.start("serve", "--prot", "1").status == 2


ADDRESSES = {
    "SAMOVAR_OUTBOUND_PROXY": "zz",
    "OPENAI_BASE_URL": "notaurl",
    "GEMINI_BASE_URL": "https://host:port",
    "APP_URL": "zz",
    "ALLOWED_ORIGINS": "https://good.example,foo",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318",
}


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_addresses_that_are_none_are_all_named_in_plain_words(terminal: Terminal, command: str) -> None:
    done = terminal.type(command, settings=ADDRESSES)
    assert done.status == (2 if command == "serve" else 1)
    assert "Traceback" not in done.out + done.err
    for name in ADDRESSES:
        assert f"{name}: " in done.out + done.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app_url", "https://[::1]:8443/samovar"),
        ("otlp_endpoint", "http://collector:4318"),
        ("outbound_proxy", "http://user:pass@proxy:3128"),
        ("outbound_proxy", "socks5h://127.0.0.1:1080"),
        ("allowed_origins", "*"),
        ("allowed_origins", "https://app.example.org,http://localhost:5173,http://[::1]:5173,null,tauri://localhost"),
    ],
)
def test_addresses_that_are_right_are_taken_as_they_stand(name: str, value: str, tmp_path: Path) -> None:
    taken = getattr(load({name: value}, folder=tmp_path), name)
    assert (",".join(taken) if isinstance(taken, tuple) else taken) == value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://app.example.org/", "https://app.example.org"),
        ("https://App.Example.org:443", "https://app.example.org"),
        ("https://app.example.org/page", "https://app.example.org"),
    ],
)
def test_an_origin_that_no_browser_would_send_is_refused_with_the_one_it_would(
    written: str, meant: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsInvalid, match=f"browsers would write {meant}$"):
        load({"allowed_origins": written}, folder=tmp_path)


def test_the_doctor_knows_what_the_program_itself_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "SAMOVAR_KEY",
        "SAMOVAR_URL",
        "SAMOVAR_CONFIG",
        "SAMOVAR_ADMIN_TOKEN",
        "SAMOVAR_LOG_FORMAT",
        "SAMOVAR_KEE",
    ):
        monkeypatch.setenv(name, "x")
    assert unknown_names() == ["SAMOVAR_KEE"]
