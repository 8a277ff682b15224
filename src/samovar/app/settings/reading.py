"""From flags, environment, files to the settings, and to plain words for what is wrong with them."""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from pydantic import AliasChoices, ValidationError

from samovar.app.settings.addresses import web_address
from samovar.app.settings.fields import FILE, Settings, SettingsInvalid
from samovar.ports.dialect import Vendor
from samovar.providers.vendors import VENDORS

_OF_THE_PROGRAM: Final = frozenset({"SAMOVAR_CONFIG", "SAMOVAR_KEY", "SAMOVAR_URL"})
"""Where the settings' file is, and what commands that talk to a running Samovar read."""


def load(flags: Mapping[str, object] | None = None, *, folder: Path | None = None) -> Settings:
    """Read the settings; ``flags`` that are ``None`` were not given. Raises :class:`SettingsInvalid` with all the flaws."""
    folder = folder or Path.cwd()
    dotenv = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
    environment = {**dotenv, **os.environ}
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    file, flaws = _read_toml(Path(environment.get("SAMOVAR_CONFIG", folder / "samovar.toml")))
    values: dict[str, Any] = {
        "_env_file": folder / ".env",
        FILE: file,
        "provider_keys": _by_vendor(environment, lambda vendor: vendor.key_env),
        "provider_base_urls": _by_vendor(environment, lambda vendor: vendor.base_url_env),
        **given,
    }
    flaws += _without_address(values["provider_keys"], values["provider_base_urls"])
    flaws += _unfit_addresses(values["provider_base_urls"])
    try:
        settings = Settings(**values)
    except ValidationError as error:
        # Without the input: it may be a secret.
        wrong = error.errors(include_input=False)
        flaws += [_plain(flaw) for flaw in wrong]
        # What contradicts itself is told in the same breath: read again, the wrong ones at their defaults.
        fields = {name for flaw in wrong for name in _fields_at(flaw["loc"])}
        settings = Settings(**{**values, **{name: Settings.model_fields[name].default for name in fields}})
    flaws += settings.contradictions()
    if flaws:
        raise SettingsInvalid(flaws)
    return settings


def unknown_names() -> list[str]:
    """Names in the environment that look like settings of ours and are none: most are slips of the pen."""
    known = {name.upper() for field in Settings.model_fields for name in _names_of(field)} | _OF_THE_PROGRAM
    vendors = {name for vendor in VENDORS.values() for name in (vendor.key_env, vendor.base_url_env)}
    return sorted(name for name in os.environ if name.startswith("SAMOVAR_") and name not in known | vendors)


def _read_toml(path: Path) -> tuple[dict[str, object], list[str]]:
    """What the file says, and what is wrong with it."""
    if not path.exists():
        return {}, []
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"{path.name}: {error}"]
    # What is excluded comes from the environment alone: taken here, it would be passed over in silence.
    known = {name for name, field in Settings.model_fields.items() if not field.exclude}
    unknown = sorted(set(values) - known)
    flaws = [f"{path.name}: there is no setting {name!r}" for name in unknown]
    return {name: value for name, value in values.items() if name in known}, flaws


def environment_name(field: str) -> str:
    """The variable that sets a field, as a person would write it."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"SAMOVAR_{field.upper()}"


def _names_of(field: str) -> list[str]:
    """All variables that set it."""
    alias = Settings.model_fields[field].validation_alias
    return [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [environment_name(field)]


def _by_vendor(environment: Mapping[str, str], name_of: Callable[[Vendor], str | None]) -> dict[str, str]:
    found = {vendor.name: environment.get(name_of(vendor) or "", "").strip() for vendor in VENDORS.values()}
    return {name: value for name, value in found.items() if value}


def _without_address(keys: Mapping[str, str], urls: Mapping[str, str]) -> list[str]:
    """Some vendors have no address of their own: each customer has another."""
    homeless = [VENDORS[name] for name in keys if name not in urls and not VENDORS[name].base_url]
    return [
        f"{vendor.base_url_env}: {vendor.title} is configured by its key and needs its address too"
        for vendor in homeless
    ]


def _unfit_addresses(urls: Mapping[str, str]) -> Iterator[str]:
    for name, url in urls.items():
        try:
            web_address(url)
        except ValueError as error:
            yield f"{VENDORS[name].base_url_env}: {error}"


_WORDS: Final = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}


def _fields_at(loc: tuple[int | str, ...]) -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        if loc and loc[0] in (name, *(alias.choices if isinstance(alias, AliasChoices) else ())):
            yield name


def _plain(flaw: Any) -> str:
    message = _WORDS.get(flaw["type"]) or str(flaw["msg"]).removeprefix("Value error, ")
    if not flaw["loc"]:
        return message
    field = str(flaw["loc"][0])
    name = environment_name(field) if field in Settings.model_fields else field
    return f"{name}: {message}"
