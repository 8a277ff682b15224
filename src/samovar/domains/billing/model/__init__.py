"""The rules of money and limits: what a call costs, and how much may be asked for. Pure."""

from samovar.domains.billing.model.prices import (
    FEMTO_PER_NANO,
    REPORTED,
    UNKNOWN,
    Charge,
    Kind,
    Line,
    charge_lines,
    price,
    rounded,
)

__all__ = ["FEMTO_PER_NANO", "REPORTED", "UNKNOWN", "Charge", "Kind", "Line", "charge_lines", "price", "rounded"]
