"""What is told of usage: the object graph of its reading side."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from samovar.domains.usage.service import UsageQueries, UsageUpkeep
from samovar.domains.usage.service.budgets import BudgetOutlooks

if TYPE_CHECKING:
    from samovar.app.services import Services


class Reports:
    """``upkeep`` sums and prunes beside the calls; the rest answers."""

    def __init__(self, services: "Services", *, report: Callable[[BaseException, str], None]) -> None:
        database, clock, retention = services.database, services.clock, services.settings.usage_retention
        self.queries = UsageQueries(database=database, clock=clock, retention=retention)
        self.upkeep = UsageUpkeep(
            database=database, clock=clock, retention=retention, pruned=services.audit.usage_pruned, report=report
        )
        self.budgets = BudgetOutlooks(budgets=services.desk.budgets, clock=clock)
