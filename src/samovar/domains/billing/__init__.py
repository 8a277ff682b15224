"""What a call costs, who pays, and how much may be asked for.

Amounts are whole nano-dollars, rounded once, from a price card that is kept with the charge. No limit is ever passed, by any
number of processes.
"""

from samovar.domains.billing.errors import TargetLimited

__all__ = ["TargetLimited"]
