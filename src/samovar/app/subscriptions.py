"""Domain event to handlers, as a table: how news goes up a layer without an import."""

from collections.abc import Callable

from samovar.app.telemetry.metrics import Metrics
from samovar.domains.gateway.model import CallFinished
from samovar.domains.usage.service import UsageService


def on_call_finished(
    *, usage: UsageService, metrics: Metrics, trace: Callable[[CallFinished], None] | None
) -> Callable[[CallFinished], None]:
    """Who hears of each call's end: the usage log first, for it must not be lost."""
    handlers = (usage.record, metrics.call) if trace is None else (usage.record, metrics.call, trace)

    def tell(event: CallFinished) -> None:
        for handler in handlers:
            handler(event)

    return tell
