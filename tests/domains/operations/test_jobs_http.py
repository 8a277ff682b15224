"""`/api/jobs` of a whole Samovar."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from samovar.app.roles import Part, parts_of
from samovar.domains.identity.model import DEFAULT_TEAM_ID, administrator
from samovar.kernel.errors import NotFound
from samovar.ports.jobs import CronJob, Job, JobContext, JobKind, Retry
from tests.app.conftest import ADMIN, Served
from tests.domains.operations.conftest import Noted, ServeJobs
from tests.support.jobs import eventually


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


async def test_a_dead_letter_is_listed_with_its_error_and_replayed(serve_jobs: ServeJobs) -> None:
    brew = Noted(failures=1)
    served = await serve_jobs([JobKind(name="brew", handler=brew, retry=Retry(max_attempts=1))], [])
    job_id = await enqueued(served, "brew")
    dead = await settled(served, job_id, "dead")
    assert dead["error"] == "ValueError: the moon is not right"
    letters = (await served.ask("GET", "/api/jobs?state=dead&kind=brew", headers=ADMIN)).json["items"]
    assert [one["id"] for one in letters] == [job_id]
    answer = await served.ask("POST", f"/api/jobs/{job_id}/replay", headers=ADMIN)
    assert (answer.status, answer.json["state"]) == (200, "queued")
    again = await settled(served, job_id, "done")
    assert (again["attempt"], again["error"]) == (2, None)
    refused = await served.ask("POST", f"/api/jobs/{job_id}/replay", headers=ADMIN)
    assert (refused.status, refused.json["code"]) == (409, "job_state")
    assert "is done" in refused.json["detail"]


async def test_what_waits_is_cancelled_and_what_runs_is_stopped(serve_jobs: ServeJobs) -> None:
    began = asyncio.Event()

    async def steep(job: Job, context: JobContext) -> None:
        began.set()
        await asyncio.Event().wait()

    served = await serve_jobs([JobKind(name="steep", handler=steep)], [])
    later = await enqueued(served, "steep", run_at=served.services.clock.now() + timedelta(hours=1))
    cancelled = await served.ask("POST", f"/api/jobs/{later}/cancel", headers=ADMIN)
    assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
    assert (await served.ask("POST", f"/api/jobs/{later}/cancel", headers=ADMIN)).status == 409
    job_id = await enqueued(served, "steep")
    async with asyncio.timeout(10):
        await began.wait()
    asked = (await served.ask("POST", f"/api/jobs/{job_id}/cancel", headers=ADMIN)).json
    assert (asked["state"], asked["cancel_asked"]) == ("running", True)
    # Its worker hears of it by news, long before its next heartbeat.
    await settled(served, job_id, "cancelled")


async def test_a_cron_job_is_listed_and_run_now_once_at_a_time(serve_jobs: ServeJobs) -> None:
    gate = asyncio.Event()

    async def wait(job: Job, context: JobContext) -> None:
        await gate.wait()

    nightly = CronJob(name="nightly", kind="wait", schedule="0 3 * * *", payload={"cups": 2})
    served = await serve_jobs([JobKind(name="wait", handler=wait)], [nightly])
    made = await served.ask("POST", "/api/jobs/cron/nightly/run", headers=ADMIN)
    assert (made.status, made.json["cron"], made.json["payload"]) == (201, "nightly", {"cups": 2})
    again = await served.ask("POST", "/api/jobs/cron/nightly/run", headers=ADMIN)
    assert (again.status, again.json["code"]) == (409, "job_state")
    assert made.json["id"] in again.json["detail"]
    gate.set()
    await settled(served, made.json["id"], "done")

    async def is_planned() -> bool:
        return (await nightly_of(served))["next_at"] is not None

    await eventually(is_planned)
    listed = await nightly_of(served)
    assert (listed["schedule"], listed["time_zone"], listed["last_job_id"]) == ("0 3 * * *", "UTC", made.json["id"])
    assert listed["next_at"][11:16] == "03:00"


async def nightly_of(served: Served) -> Any:
    """What is said of it."""
    items = (await served.ask("GET", "/api/jobs/cron", headers=ADMIN)).json["items"]
    return next(one for one in items if one["name"] == "nightly")


async def test_lists_come_in_pages(serve_jobs: ServeJobs) -> None:
    served = await serve_jobs([JobKind(name="brew", handler=Noted())], [])
    made = [await enqueued(served, "brew", run_at=served.services.clock.now() + timedelta(hours=1)) for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = (await served.ask("GET", f"/api/jobs?limit=2{cursor}", headers=ADMIN)).json
        assert len(page["items"]) <= 2
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == sorted(made)
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/jobs/job_nobody", 404, "job_not_found"),
        ("POST", "/api/jobs/job_nobody/cancel", 404, "job_not_found"),
        ("POST", "/api/jobs/job_nobody/replay", 404, "job_not_found"),
        ("POST", "/api/jobs/cron/nobody/run", 404, "cron_not_found"),
        ("GET", "/api/jobs?state=asleep", 422, "invalid_request"),
        ("GET", "/api/jobs?limit=101", 422, "invalid_request"),
        ("GET", f"/api/jobs?cursor={'x' * 65}", 422, "invalid_request"),
        ("GET", "/api/jobs?kind=%00", 400, "malformed_request"),
    ],
)
async def test_what_cannot_be_is_a_problem(served: Served, method: str, path: str, status: int, code: str) -> None:
    answer = await served.ask(method, path, headers=ADMIN)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_key_without_the_permission_sees_and_does_nothing(served: Served) -> None:
    body = msgspec.json.encode({"name": "gateway only"})
    key = (await served.ask("POST", "/api/keys", body=body, headers=ADMIN)).json["key"]
    bearer = {"Authorization": f"Bearer {key}"}
    for method, path in (
        ("GET", "/api/jobs"),
        ("GET", "/api/jobs/cron"),
        ("GET", "/api/jobs/job_1"),
        ("POST", "/api/jobs/job_1/cancel"),
        ("POST", "/api/jobs/job_1/replay"),
        ("POST", "/api/jobs/cron/backup/run"),
    ):
        assert (await served.ask(method, path, headers=bearer)).status == 403
        assert (await served.ask(method, path)).status == 401


async def test_another_team_sees_neither_jobs_nor_what_comes_by_the_clock(serve_jobs: ServeJobs) -> None:
    nightly = CronJob(name="nightly", kind="brew", schedule="0 3 * * *")
    served = await serve_jobs([JobKind(name="brew", handler=Noted())], [nightly])
    job_id = await enqueued(served, "brew")
    service = served.services.jobs.service
    stranger = msgspec.structs.replace(administrator(), team_id="team_other")
    assert await service.cron(stranger) == ()
    assert (await service.page(stranger, state=None, kind=None, cursor=None, limit=50)).items == []
    for work in (service.get, service.cancel, service.replay, service.run_now):
        with pytest.raises(NotFound):
            await work(stranger, "nightly" if work == service.run_now else job_id)


async def test_metrics_tell_what_waits_runs_and_ended(serve_jobs: ServeJobs) -> None:
    served = await serve_jobs([JobKind(name="brew", handler=Noted())], [])
    await settled(served, await enqueued(served, "brew"), "done")
    await enqueued(served, "brew", run_at=served.services.clock.now() + timedelta(hours=1))
    await served.services.jobs.upkeep.count()
    text = (await served.ask("GET", "/metrics")).body.decode()
    assert 'samovar_jobs_waiting{kind="brew"} 1.0' in text
    assert 'samovar_jobs_running{kind="brew"} 0.0' in text
    assert "samovar_jobs_oldest_waiting_seconds 0.0" in text
    assert 'samovar_jobs_total{kind="brew",outcome="done"} 1.0' in text


async def test_a_process_that_is_no_worker_enqueues_and_runs_nothing(serve_jobs: ServeJobs) -> None:
    brew = Noted()
    served = await serve_jobs([JobKind(name="brew", handler=brew)], [], roles=("admin",))
    job_id = await enqueued(served, "brew")
    # A worker would have looked by now: it is woken, and runs in the same loop.
    await asyncio.sleep(0.2)
    assert (await served.ask("GET", f"/api/jobs/{job_id}", headers=ADMIN)).json["state"] == "queued"
    assert brew.jobs == []


def test_a_worker_serves_its_health_and_no_api() -> None:
    assert parts_of(["worker"]) == {Part.OPERATIONS, Part.WORKER}
    assert Part.WORKER in parts_of(["all"])
