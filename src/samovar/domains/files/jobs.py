"""What files' care does as jobs. Each may run twice: it looks at what stands before it changes anything."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from samovar.domains.files.model.rounds import Extent, RoundKind
from samovar.domains.files.service.care import FileCare
from samovar.domains.files.service.rounds import JOB_OF
from samovar.ports.jobs import Job, JobContext, JobKind, Retry

_MOST_S: Final = 48 * 3_600.0
_RETRY: Final = Retry(max_attempts=12, first_s=5, most_s=1_800)

Care = Callable[[], FileCare]


def file_kinds(care: Care) -> tuple[JobKind, ...]:
    """The rows for the table of kinds."""
    return tuple(
        JobKind(name=name, handler=_handler(work), retry=_RETRY, timeout_s=_MOST_S) for name, work in _work(care)
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


def _handler(work: Callable[[Any], Awaitable[object]]) -> Any:
    async def run(job: Job, context: JobContext) -> None:
        await work(job.payload)

    return run
