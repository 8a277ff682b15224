"""What is told of usage: the object graph of its reading side."""

from collections.abc import Callable

from samovar.app.settings import Settings
from samovar.domains.billing.service import Budgets
from samovar.domains.usage.service import UsageQueries, UsageUpkeep
from samovar.domains.usage.service.budgets import BudgetOutlooks
from samovar.ports.clock import Clock
from samovar.ports.database import Database


class Reports:
    """``upkeep`` sums and prunes beside the calls; the rest answers."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        clock: Clock,
        budgets: Budgets,
        report: Callable[[BaseException, str], None],
    ) -> None:
        retention = settings.usage_retention
        self.queries = UsageQueries(database=database, clock=clock, retention=retention)
        self.upkeep = UsageUpkeep(database=database, clock=clock, retention=retention, report=report)
        self.budgets = BudgetOutlooks(budgets=budgets, clock=clock)
