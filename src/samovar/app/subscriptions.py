"""Domain event to handlers, as a table: how news goes up a layer without an import."""

from collections.abc import Callable

import structlog

from samovar.app.telemetry.metrics import Metrics
from samovar.domains.files.model.records import FileEvent
from samovar.domains.gateway.model import CallFinished
from samovar.domains.usage.service import UsageService

log = structlog.get_logger()


def on_call_finished(
    *, usage: UsageService, metrics: Metrics, trace: Callable[[CallFinished], None] | None
) -> Callable[[CallFinished], None]:
    """Who hears of each call's end: the usage log first, for it must not be lost."""
    handlers = (usage.record, metrics.call) if trace is None else (usage.record, metrics.call, trace)

    def tell(event: CallFinished) -> None:
        for handler in handlers:
            handler(event)

    return tell


async def on_file_event(event: FileEvent) -> None:
    """Who hears of each file that was stored, amended or deleted, at least once."""
    log.info("file", happened=event.happened.value, team_id=event.team_id, file_id=event.file_id, **event.details)
