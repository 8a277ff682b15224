"""Rounds over storage elements: ordered, and waited for."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from samovar.cli.api import Api, ask
from samovar.cli.files.progress import Bars
from samovar.cli.files.working import Failed, each
from samovar.cli.output import CannotDo

ELEMENTS: Final = "/api/storage-elements"

_FIRST_LOOK_S: Final = 0.05
_LONGEST_LOOK_S: Final = 1.0


async def make(
    api: Api, kind: str, element_ids: Sequence[str], options: Mapping[str, Any], bars: Bars
) -> tuple[list[Any], list[Failed]]:
    """The reports of rounds over these elements, or over all; and those that were not made to their end."""
    if not element_ids:
        there = (await ask(api, "GET", ELEMENTS))["items"]
        element_ids = [one["id"] for one in there if one["state"] != "lost"]
    wanted = list(dict.fromkeys(element_ids))
    return await each(wanted, lambda one: _made(api, kind, one, options, bars), parallel=len(wanted) or 1)


def still_wrong(report: Any) -> int:
    """How much of what a round found is wrong after it. Content without attributes is no fault of any file: it is what a write
    that never was leaves behind, and goes by itself."""
    outcomes: Mapping[str, int] = report["outcomes"]
    orphans: int = report["faults"].get("orphan", 0)
    return outcomes.get("reported", 0) + outcomes.get("quarantined", 0) - orphans


async def _made(api: Api, kind: str, element_id: str, options: Mapping[str, Any], bars: Bars) -> Any:
    bar = bars.bar(element_id, None)
    path = f"{ELEMENTS}/{quote(element_id, safe='')}/{kind}"
    ordered = await ask(api, "POST", path, options)
    # An attempt of somebody's that failed before is none of ours.
    before = 0 if ordered["is_new"] else (await _job(api, ordered))["attempt"]
    look_s = _FIRST_LOOK_S
    while True:
        await asyncio.sleep(look_s)
        look_s = min(look_s * 1.5, _LONGEST_LOOK_S)
        job = await _job(api, ordered)
        if job["state"] == "done":
            report = await ask(api, "GET", path)
            bar.stands_at(report["met"])
            return report
        if job["state"] in ("dead", "cancelled") or (job["state"] == "queued" and job["attempt"] > before):
            again = "; it is tried again by a server that runs" if job["state"] == "queued" else ""
            raise CannotDo(f"{job['error'] or 'it was cancelled'} (job {job['id']}{again})")
        if job["state"] == "running":
            bar.stands_at((await ask(api, "GET", path))["met"])


async def _job(api: Api, ordered: Any) -> Any:
    return await ask(api, "GET", f"/api/jobs/{quote(ordered['job_id'], safe='')}")
