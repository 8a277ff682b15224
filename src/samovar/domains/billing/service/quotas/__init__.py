"""Quotas: limits on requests, tokens and calls at once, exact alone and over many processes, with no round trip a call.

* Never over: within ``t`` seconds all processes let through at most ``capacity + rate * t`` requests of a limit.
* A call that is refused took nothing, or (blocks of several processes) so little that it does not matter.
* Tokens are taken by estimate before a call and corrected after it.
* While Redis is away a setting says what holds; nobody on a call's path waits for it twice.
"""

from samovar.domains.billing.service.quotas.addresses import ADDRESSES_CHANGED, AddressBounds, Addresses, Blocked
from samovar.domains.billing.service.quotas.grant import Grant
from samovar.domains.billing.service.quotas.line import Away, AwayRules
from samovar.domains.billing.service.quotas.load import LoadBounds
from samovar.domains.billing.service.quotas.rows import MAX_SUBJECT_CHARS, MAX_TEXT_CHARS, QuotaPage, QuotaRows
from samovar.domains.billing.service.quotas.service import (
    QUOTAS_CHANGED,
    Figures,
    QuotaDefaults,
    QuotaService,
)

__all__ = [
    "ADDRESSES_CHANGED",
    "MAX_SUBJECT_CHARS",
    "MAX_TEXT_CHARS",
    "QUOTAS_CHANGED",
    "AddressBounds",
    "Addresses",
    "Away",
    "AwayRules",
    "Blocked",
    "Figures",
    "Grant",
    "LoadBounds",
    "QuotaDefaults",
    "QuotaPage",
    "QuotaRows",
    "QuotaService",
]
