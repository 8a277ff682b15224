"""The page and the probes are tested on a whole Samovar; so are jobs, of kinds of the tests' own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from samovar.app.application import edge_of
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.ports.jobs import CronJob, Job, JobContext, JobKind
from tests.app.conftest import ADMIN_TOKEN, Served, listening, serve, served

__all__ = ["serve", "served"]

ServeJobs = Callable[..., Awaitable[Served]]


class Noted:
    """A handler that notes what it is given, and fails as often as it is told."""

    def __init__(self, *, failures: int = 0) -> None:
        self.jobs: list[Job] = []
        self.failures = failures
        self.ran = asyncio.Event()

    async def __call__(self, job: Job, context: JobContext) -> None:
        self.jobs.append(job)
        if self.failures:
            self.failures -= 1
            raise ValueError("the moon is not right")
        self.ran.set()


@pytest.fixture
async def serve_jobs(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[ServeJobs]:
    """Start a whole Samovar that knows these kinds of jobs."""
    async with AsyncExitStack() as stack:

        async def start(kinds: Sequence[JobKind], cron: Sequence[CronJob] = (), **settings: Any) -> Served:
            shutil.copyfile(sqlite_template, tmp_path / "samovar.db")
            given: dict[str, Any] = {"data_dir": tmp_path, "admin_token": ADMIN_TOKEN, "_env_file": None, **settings}
            services = Services(Settings(**given), kinds=kinds, cron=cron)
            await stack.enter_async_context(services.running())
            return Served(await stack.enter_async_context(listening(edge_of(services))), services)

        yield start
