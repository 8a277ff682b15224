"""How paying for a call, keeping wallets, and limits can fail."""

from samovar.kernel.errors import Conflict, Invalid, NotFound, SamovarError, TooManyRequests, Unavailable
from samovar.kernel.money import credits_text


class PaymentRefused(SamovarError):
    """Base of what stands between a call and its hold: nothing was sent and nothing is charged."""

    status = 402
    title = "The call cannot be paid for"


class CreditSpent(PaymentRefused):
    """The wallet, or a hard budget of it, does not hold the call's upper bound."""

    code = "credit_spent"
    title = "The wallet's credit is spent"

    def __init__(self, *, wallet_id: str, needed_nano_usd: int, available_nano_usd: int) -> None:
        super().__init__(
            f"The call may cost up to {credits_text(needed_nano_usd)} credits, and wallet {wallet_id} has"
            f" {credits_text(max(0, available_nano_usd))} to give now. Ask for a smaller answer (max_tokens), add credits"
            " (POST /api/wallets/{id}/credits), raise its budget, or wait until calls under way have ended.",
            headers={"Retry-After": "5"},
        )
        self.wallet_id = wallet_id
        self.needed_nano_usd = needed_nano_usd
        self.available_nano_usd = max(0, available_nano_usd)


class WalletGone(PaymentRefused):
    """The key names a wallet that its team does not have."""

    code = "wallet_gone"
    title = "The key's wallet does not exist"


class PriceUnknown(PaymentRefused):
    """Nobody knows what the model costs, and the installation refuses such calls."""

    code = "price_unknown"
    title = "The model's price is not known"


class ChargesRefused(SamovarError):
    """The database is well and does not take a batch of charges. Nobody who calls ever sees this."""

    code = "charges_refused"


class ChargesKnown(Unavailable):
    """Some charges of a batch stand in the ledger already. Nobody who calls ever sees this."""

    code = "charges_known"


class SpoolFull(Unavailable):
    """Charges that the database has not taken fill their place: no call goes out that could not be noted."""

    code = "spool_full"
    title = "Charges cannot be noted now"


class TooManyWaiting(Unavailable):
    """As many calls as may wait for a wallet's credits wait already."""

    code = "too_many_waiting"
    title = "Too many calls wait for this wallet"


class WalletNotFound(NotFound):
    """No such wallet in the caller's team."""

    code = "wallet_not_found"


class BudgetNotFound(NotFound):
    """No such budget in the caller's team."""

    code = "budget_not_found"


class LeaseNotFound(NotFound):
    """No such lease in the caller's team."""

    code = "lease_not_found"


class LeaseNotLost(Conflict):
    """A lease may be settled by hand only when nobody else will."""

    code = "lease_not_lost"


class OwnerTaken(Conflict):
    """The team, key or user has a wallet already."""

    code = "owner_taken"


class TransferTaken(Conflict):
    """Another request with the same ``Idempotency-Key`` was a moment faster."""

    code = "idempotency_in_flight"


class NotEnoughCredit(Conflict):
    """Credits that are taken away must lie in the wallet, unleased."""

    code = "not_enough_credit"


class TooManyBudgets(Conflict):
    """A wallet has a bounded number of budgets."""

    code = "too_many_budgets"


class KeyReused(Invalid):
    """An ``Idempotency-Key`` that stood for another request."""

    code = "idempotency_key_reused"


class QuotaNotFound(NotFound):
    """No such quota in the caller's team."""

    code = "quota_not_found"
    title = "No such quota"


class QuotaExists(Conflict):
    """The subject has one already, or the team has as many as it may have."""

    code = "quota_exists"
    title = "That subject has a quota"


class BadQuota(Invalid):
    """A quota that breaks a rule."""

    code = "invalid_quota"
    title = "That cannot be a quota"


class RateLimited(TooManyRequests):
    """A limit is used up. ``detail`` names whose and which."""


class TargetLimited(RateLimited):
    """A limit of a provider or a model is used up; another target may have room."""


class AddressBlocked(TooManyRequests):
    """Too many requests of that address were refused."""

    code = "address_blocked"
    title = "Your address is blocked for a while"


class QuotaUnavailable(Unavailable):
    """The limit is kept in Redis, which is away, and the setting says that nothing passes then."""

    code = "quota_unavailable"
    title = "Limits cannot be checked now"


class Overloaded(SamovarError):
    """More is asked of this process than it can do; it refuses before any work is done."""

    code = "overloaded"
    status = 503
    title = "Too busy"
