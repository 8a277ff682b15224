"""Run all checks, print what they found."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from samovar.adapters.system import SystemClock
from samovar.app.settings import Settings, SettingsInvalid, load
from samovar.app.storage import begun_before
from samovar.cli.doctor.elements import check_elements
from samovar.cli.doctor.finding import Finding, Level
from samovar.cli.doctor.installation import check_installation
from samovar.cli.doctor.machine import check_machine, check_start
from samovar.cli.doctor.network import check_copies, check_port, check_providers, check_redis
from samovar.cli.output import harmless, say_json

_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
_WIDTH: Final = 16


def examine(*, as_json: bool) -> bool:
    """Print the findings. Whether nothing failed."""
    findings = asyncio.run(_findings())
    if as_json:
        say_json([msgspec.structs.asdict(one) for one in findings])
    else:
        _show(findings)
    return all(one.level is not Level.FAIL for one in findings)


async def _findings() -> list[Finding]:
    try:
        settings = load()
    except SettingsInvalid as error:
        wrong = [
            Finding.fail("settings", flaw, "Mend it in the environment, .env or samovar.toml.") for flaw in error.flaws
        ]
        # The rest of the set-up hangs on the settings; only the machine does not.
        return [*check_machine(), *wrong]
    return [*check_machine(), *check_start(settings), *await _check_parts(settings)]


async def _check_parts(settings: Settings) -> list[Finding]:
    from samovar.app.telemetry import logs

    logs.configure(json=False, level="error")
    findings, providers = await check_installation(settings)
    if settings.is_storage_alone:
        findings += check_elements(begun_before(settings, SystemClock()))
    findings += await check_redis(settings)
    findings += await check_copies(settings)
    findings += await check_port(settings)
    findings += await check_providers(settings, providers)
    return findings


def _show(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True, file=sys.stdout)
    for one in findings:
        line = Text(f"{one.level.value:<5}", style=_COLOURS[one.level])
        line.append(f"{one.check:<{_WIDTH}}", style="bold")
        line.append(harmless(one.message), style="default")
        console.print(line)
        if one.remedy and one.level is not Level.OK:
            console.print(Text(f"{'':<{5 + _WIDTH}}-> {harmless(one.remedy)}"))
    counts = [sum(one.level is level for one in findings) for level in Level]
    console.print(f"\n{counts[0]} ok, {counts[1]} to look at, {counts[2]} wrong")
