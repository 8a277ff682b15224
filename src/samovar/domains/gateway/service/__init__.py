"""From a call to its answer: resolve, plan, attempt, translate, account. Nothing here waits for a database."""

from samovar.domains.gateway.service.figures import Figures
from samovar.domains.gateway.service.gateway import Answer, GatewayService
from samovar.domains.gateway.service.live import LiveStream

__all__ = ["Answer", "Figures", "GatewayService", "LiveStream"]
