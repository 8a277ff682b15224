"""What files' care does as jobs. Each may run twice: it looks at what stands before it changes anything."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from samovar.domains.files.model.rounds import Extent, RoundKind
from samovar.domains.files.service.care import FileCare
from samovar.domains.files.service.care.later import LATER_JOB
from samovar.domains.files.service.care.replicas import REPLICATE_JOB
from samovar.domains.files.service.care.restoring import RESTORE_JOB
from samovar.domains.files.service.care.retention import COLLECT_JOB, FINALIZE_JOB, ORPHANS_JOB
from samovar.domains.files.service.care.rounds import JOB_OF
from samovar.domains.files.service.care.scrubbing import SCRUB_ALL_JOB
from samovar.ports.jobs import CronJob, Job, JobContext, JobKind, Retry

_MOST_S: Final = 48 * 3_600.0
_ONE_S: Final = 600.0
_RETRY: Final = Retry(max_attempts=12, first_s=5, most_s=1_800)

Care = Callable[[], FileCare]


def file_kinds(care: Care) -> tuple[JobKind, ...]:
    """The rows for the table of kinds."""
    return (
        *[JobKind(name=name, handler=_handler(work), retry=_RETRY, timeout_s=_MOST_S) for name, work in _work(care)],
        JobKind(
            name=LATER_JOB, handler=lambda job, context: care().later.make(job, context), retry=_RETRY, timeout_s=_ONE_S
        ),
    )


def _work(care: Care) -> Iterator[tuple[str, Callable[[Any], Awaitable[object]]]]:
    yield (
        JOB_OF[RoundKind.REBUILD],
        lambda wanted: care().rebuilder.run(wanted["element_id"], Extent(wanted["extent"])),
    )
    yield (
        JOB_OF[RoundKind.CHECK],
        lambda wanted: care().checker.run(wanted["element_id"], reads_contents=wanted["reads_contents"]),
    )
    yield FINALIZE_JOB, lambda wanted: care().retention.move(wanted["team_id"], wanted["file_id"])
    yield RESTORE_JOB, lambda wanted: care().restoring.bring_back(wanted["team_id"], wanted["file_id"])
    yield REPLICATE_JOB, lambda wanted: care().replicas.tend(wanted["team_id"], wanted["file_id"])
    yield JOB_OF[RoundKind.SCRUB], lambda wanted: care().scrubber.run(wanted["element_id"])
    yield SCRUB_ALL_JOB, lambda _: care().scrubber.order_all()
    yield COLLECT_JOB, lambda _: care().retention.collect()
    yield ORPHANS_JOB, lambda _: care().retention.collect_orphans()


def file_crons(*, collect: str, orphans: str, scrub: str) -> tuple[CronJob, ...]:
    """The rows for the table of what comes by the clock; each is a schedule."""
    return (
        CronJob(name=COLLECT_JOB, kind=COLLECT_JOB, schedule=collect),
        CronJob(name=ORPHANS_JOB, kind=ORPHANS_JOB, schedule=orphans),
        CronJob(name=SCRUB_ALL_JOB, kind=SCRUB_ALL_JOB, schedule=scrub),
    )


def _handler(work: Callable[[Any], Awaitable[object]]) -> Any:
    async def run(job: Job, context: JobContext) -> None:
        await work(job.payload)

    return run
