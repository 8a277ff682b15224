"""Money's metrics: what :class:`samovar.domains.billing.service.money.Tally` has counted, as Prometheus counters."""

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from samovar.domains.billing.service.money import Tally
from samovar.kernel.money import NANO_USD_PER_CREDIT

_NANO = "_nano_usd"


class MoneyMetrics:
    """``samovar_money_total`` by event, ``samovar_money_credits_total`` by event where it is an amount, and the spool."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter("samovar_money_total", "Events of paying for calls.", ("event",), registry=registry)
        self._credits = Counter(
            "samovar_money_credits_total", "Credits that were out of the ordinary.", ("event",), registry=registry
        )
        self._spool = Gauge(
            "samovar_spool_bytes", "Charges on their way to the ledger.", multiprocess_mode="livesum", registry=registry
        )
        self._before = Tally()

    def refresh(self, tally: Tally, spool_bytes: int) -> None:
        """Hand on what was counted since the last time."""
        self._spool.set(spool_bytes)
        for name in tally.__struct_fields__:
            more = getattr(tally, name) - getattr(self._before, name)
            if more and name.endswith(_NANO):
                self._credits.labels(name.removesuffix(_NANO)).inc(more / NANO_USD_PER_CREDIT)
            elif more:
                self._events.labels(name).inc(more)
        self._before = msgspec.structs.replace(tally)
