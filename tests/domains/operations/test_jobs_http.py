"""`/api/jobs` of a whole Samovar."""

import asyncio
from typing import Any

from samovar.domains.identity.model import DEFAULT_TEAM_ID
from samovar.ports.jobs import JobKind
from tests.app.conftest import ADMIN, Served
from tests.domains.operations.conftest import Noted, ServeJobs


async def enqueued(served: Served, kind: str, **how: Any) -> str:
    """Enqueue as a service does, and wake the worker."""
    desk = served.services.jobs
    async with served.services.database.transaction() as tx:
        made = await desk.table.enqueue(tx, kind, {"leaf": "green"}, team_id=DEFAULT_TEAM_ID, **how)
    await desk.table.wake()
    return made.id


async def settled(served: Served, job_id: str, *states: str) -> Any:
    """The job once it stands so."""
    async with asyncio.timeout(10):
        while True:
            job = (await served.ask("GET", f"/api/jobs/{job_id}", headers=ADMIN)).json
            if job["state"] in states:
                return job
            await asyncio.sleep(0.02)


async def test_a_job_is_enqueued_run_and_seen(serve_jobs: ServeJobs) -> None:
    brew = Noted()
    served = await serve_jobs([JobKind(name="brew", handler=brew)], [])
    job_id = await enqueued(served, "brew")
    job = await settled(served, job_id, "done")
    assert [seen.id for seen in brew.jobs] == [job_id]
    assert (job["kind"], job["payload"], job["attempt"], job["error"]) == ("brew", {"leaf": "green"}, 1, None)
    listed = (await served.ask("GET", "/api/jobs", headers=ADMIN)).json
    assert [one["id"] for one in listed["items"]] == [job_id]
