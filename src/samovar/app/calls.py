"""The gateway's object graph: from settings to what answers calls."""

import random
from typing import TYPE_CHECKING

from samovar.app.subscriptions import on_call_finished
from samovar.domains.gateway.model import GatewaySettings
from samovar.domains.gateway.service import GatewayService
from samovar.ports.transport import Timeouts

if TYPE_CHECKING:
    from samovar.app.services import Services


def gateway_service(services: "Services") -> GatewayService:
    """What answers calls in this process."""
    settings = services.settings
    timeouts = Timeouts(
        connect_s=settings.connect_timeout_s,
        first_byte_s=settings.first_byte_timeout_s,
        idle_s=settings.idle_timeout_s,
    )
    total_s = settings.json_timeout_s
    return GatewayService(
        catalog=services.catalog,
        dialects=services.dialects,
        figures=services.figures,
        money=services.desk.money,
        vendors=services.vendors,
        transports=services.transport,
        clock=services.clock,
        jitter=random.random,
        on_finished=on_call_finished(
            usage=services.usage,
            metrics=services.metrics,
            trace=None if services.traces is None else services.traces.record,
        ),
        settings=GatewaySettings(
            json_timeouts=Timeouts(
                connect_s=settings.connect_timeout_s, first_byte_s=total_s, idle_s=total_s, total_s=total_s
            ),
            stream_timeouts=timeouts,
        ),
    )
