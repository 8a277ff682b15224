"""From a wallet's credits to a call's charge in the ledger.

A *purse* takes a *lease* of a wallet's money in one transaction and gives *holds* from it without waiting. A hold notes an
*intent* in the process's *spool* before its call goes out and an *outcome* before the answer ends; the *mover* brings them
into the ledger in batches, each call once. Spools of dead processes are *adopted* by the living of the same host.

Never more is held than was leased, and never more leased than a wallet and its hard budgets have.
"""

from samovar.domains.billing.errors import PriceUnknown
from samovar.domains.billing.service.money.hold import Hold, Tally
from samovar.domains.billing.service.money.money import WALLETS_CHANGED, MoneyService, MoneySettings
from samovar.domains.billing.service.money.payers import WalletRef

__all__ = ["WALLETS_CHANGED", "Hold", "MoneyService", "MoneySettings", "PriceUnknown", "Tally", "WalletRef"]
