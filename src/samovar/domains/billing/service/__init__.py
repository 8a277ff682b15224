"""Money at work: wallets, budgets and the books for an admin, and :class:`MoneyService` for each call; quotas beside it."""

from samovar.domains.billing.service.books import Books, Verdict
from samovar.domains.billing.service.budgets import BudgetChange, BudgetOrder, Budgets
from samovar.domains.billing.service.money import WALLETS_CHANGED, Hold, MoneyService, MoneySettings, WalletRef
from samovar.domains.billing.service.succession import Succession
from samovar.domains.billing.service.wallets import WalletChange, WalletOrder, Wallets

__all__ = [
    "WALLETS_CHANGED",
    "Books",
    "BudgetChange",
    "BudgetOrder",
    "Budgets",
    "Hold",
    "MoneyService",
    "MoneySettings",
    "Succession",
    "Verdict",
    "WalletChange",
    "WalletOrder",
    "WalletRef",
    "Wallets",
]
