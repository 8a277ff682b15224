"""Money's object graph: from settings to what the gateway and the admin's routes use."""

from samovar.app.settings import Settings
from samovar.domains.billing.service import Books, Budgets, MoneyService, MoneySettings, Wallets
from samovar.kernel.money import NANO_USD_PER_CREDIT
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.events import Bus

_MEGABYTE = 1024 * 1024


class MoneyDesk:
    """``money`` is asked on each call; the rest is an admin's."""

    def __init__(
        self, settings: Settings, *, database: Database, clock: Clock, ids: Ids, bus: Bus, prices: str
    ) -> None:
        self.money = MoneyService(
            database=database, clock=clock, ids=ids, bus=bus, settings=money_settings(settings), prices=prices
        )
        changed = self.money.changed
        self.wallets = Wallets(database=database, clock=clock, ids=ids, changed=changed, flush=self.money.flush)
        self.budgets = Budgets(database=database, clock=clock, ids=ids, changed=changed)
        self.books = Books(
            database=database, clock=clock, ids=ids, changed=changed, lost_after_s=settings.lease_lost_after_s
        )


def money_settings(settings: Settings) -> MoneySettings:
    """Megabytes and credits as bytes and nano-dollars."""
    on_disk = settings.spool == "disk"
    return MoneySettings(
        spool=settings.data_dir / "spool" if on_disk else None,
        sync=settings.spool_sync,
        spool_max_bytes=settings.spool_max_mb * _MEGABYTE,
        lease_nano_usd=settings.lease_credits * NANO_USD_PER_CREDIT,
        ceiling_nano_usd=settings.call_ceiling_credits * NANO_USD_PER_CREDIT,
        unknown_price=settings.unknown_price,
        idle_s=settings.lease_idle_s,
    )
