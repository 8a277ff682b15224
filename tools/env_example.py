"""Write ``.env.example`` from the settings: every variable with its default and what it is for.

``python tools/env_example.py`` writes the file, ``--check`` fails if it is not what the code says.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from samovar.app.settings import Settings, environment_name
from samovar.providers.vendors import VENDORS

EXAMPLE: Final = Path(__file__).resolve().parent.parent / ".env.example"

_HEAD: Final = """\
# Every setting of Samovar, with its default. Copy this file to .env and take the # away where you want another value.
# What stands in the environment goes before .env; a flag of `samovar serve` goes before both. `samovar doctor` checks it all.
# Generated from the settings: run `python tools/env_example.py` after changing them.
"""
_VENDORS: Final = (
    "Providers: a key, or another address, configures one. Without any, the built-in sandbox answers. "
    "Several keys, with commas between, take turns."
)
# They are read vendor by vendor, below.
_BY_VENDOR: Final = frozenset({"provider_keys", "provider_base_urls"})


def example() -> str:
    """The whole file."""
    return "".join((_HEAD, *_settings(), "\n", _comment(_VENDORS), *_providers()))


def _settings() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        if name not in _BY_VENDOR:
            yield f"\n{_comment(field.description or '')}#{environment_name(name)}={_written(field.default)}\n"


def _providers() -> Iterator[str]:
    for vendor in VENDORS.values():
        if vendor.key_env:
            yield f"#{vendor.key_env}=\n"
        if vendor.base_url_env:
            yield f"#{vendor.base_url_env}={vendor.base_url}\n"


def _comment(text: str) -> str:
    return textwrap.fill(text, 110, initial_indent="# ", subsequent_indent="# ") + "\n"


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value.value if isinstance(value, StrEnum) else f"{value:g}" if isinstance(value, float) else str(value)


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` compare it; 1 when it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = example()
    if not parser.parse_args(arguments).check:
        EXAMPLE.write_text(text, "utf-8")
        return 0
    if EXAMPLE.exists() and EXAMPLE.read_text("utf-8") == text:
        return 0
    print(
        f"{EXAMPLE.name} is not what the settings say: run `python tools/env_example.py` and commit it.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
