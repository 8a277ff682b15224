"""The rules of ``tools/tidy.py``: each a function of a :class:`Source` or of the whole :class:`Checkout`.

To add one, write it beside its like and put it into that module's table; then plant its breach in ``tests/house``.
"""

from house import purity, shape, testing, writing
from house.checkout import Breach, Checkout, Finding, Rule, Source

RULES: dict[str, Rule] = {**shape.RULES, **purity.RULES, **testing.RULES, **writing.RULES}


def breaches(checkout: Checkout) -> list[Breach]:
    """All breaches, by file and line."""
    found = [
        Breach(finding.path, finding.line, name, finding.message)
        for name, rule in RULES.items()
        for finding in rule(checkout)
    ]
    return sorted(found)


__all__ = ["RULES", "Breach", "Checkout", "Finding", "Rule", "Source", "breaches"]
