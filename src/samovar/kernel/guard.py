"""What a key's owner lets through: bounds on tokens, and rules over texts, as data; and how a rule's pattern is compiled."""

import re
from enum import StrEnum
from typing import Final

import msgspec

from samovar.kernel import patterns
from samovar.kernel.errors import Flaw
from samovar.kernel.patterns import Pattern

MAX_RULES: Final = 20
MAX_RULE_NAME_CHARS: Final = 64
MAX_RULE_PATTERN_CHARS: Final = 1_000
MAX_REPLACEMENT_CHARS: Final = 200
MAX_TOKENS: Final = 100_000_000
DEFAULT_REPLACEMENT: Final = "[redacted]"

RULE_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$"
_EMPTY: Final = "it matches the empty text, which stands everywhere"
_RULE_NAME: Final = re.compile(RULE_NAME, re.ASCII)
_PLACES: Final = ("", "a", " ", "\n", "aa  \n\na\n a")
"""Every place that RE2 tells from another: between letters, other signs, line ends, and at a text's beginning and end."""


class GuardSide(StrEnum):
    """Which texts a rule looks at."""

    INPUT = "input"
    OUTPUT = "output"
    BOTH = "both"


class GuardAction(StrEnum):
    """What becomes of a text that a rule finds."""

    BLOCK = "block"
    REDACT = "redact"


class GuardRule(msgspec.Struct, frozen=True, kw_only=True):
    """``replacement`` stands where ``redact`` found something."""

    name: str
    pattern: str
    on: GuardSide = GuardSide.BOTH
    action: GuardAction
    replacement: str = DEFAULT_REPLACEMENT


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """``max_input_tokens`` is held against our estimate. A caller who wants more than ``max_output_tokens`` is refused, and
    one who names no bound gets this one."""

    max_output_tokens: int | None = None
    max_input_tokens: int | None = None
    rules: tuple[GuardRule, ...] = ()

    def is_within(self, other: "Guard") -> bool:
        """Whether this lets nothing through that ``other`` does not."""
        return (
            _is_within(self.max_output_tokens, other.max_output_tokens)
            and _is_within(self.max_input_tokens, other.max_input_tokens)
            and all(rule in self.rules for rule in other.rules)
        )


NO_GUARD: Final = Guard()


def compiled(pattern: str) -> Pattern:
    """As :func:`samovar.kernel.patterns.compiled`, for a pattern that may not match the empty text."""
    found = patterns.compiled(pattern)
    if found.search("") is not None:
        raise ValueError(_EMPTY)
    return found


def _is_sometimes_empty(pattern: Pattern) -> bool:
    """Such a match finds nothing, and may stand in the way of one that would."""
    return any(pattern.fullmatch(text, at, at) is not None for text in _PLACES for at in range(len(text) + 1))


def flaws_of(guard: Guard) -> list[Flaw]:
    """What breaks a rule in it, in the words of a JSON body whose field ``guard`` it is."""
    flaws = []
    for field in ("max_output_tokens", "max_input_tokens"):
        bound = getattr(guard, field)
        if bound is not None and not 1 <= bound <= MAX_TOKENS:
            flaws.append(Flaw(f"guard.{field}", f"must be from 1 to {MAX_TOKENS}"))
    if len(guard.rules) > MAX_RULES:
        return [*flaws, Flaw("guard.rules", f"must have at most {MAX_RULES} rules")]
    names: set[str] = set()
    for place, rule in enumerate(guard.rules):
        where = f"guard.rules[{place}]"
        flaws.extend(_flaws_of_rule(rule, where))
        if rule.name in names:
            flaws.append(Flaw(f"{where}.name", "is the name of another rule"))
        names.add(rule.name)
    return flaws


def _flaws_of_rule(rule: GuardRule, where: str) -> list[Flaw]:
    flaws = []
    if len(rule.name) > MAX_RULE_NAME_CHARS or not _RULE_NAME.fullmatch(rule.name):
        flaws.append(
            Flaw(f"{where}.name", f"must have from 1 to {MAX_RULE_NAME_CHARS} letters, digits, spaces or . _ -")
        )
    if len(rule.replacement) > MAX_REPLACEMENT_CHARS or not rule.replacement.isprintable():
        flaws.append(
            Flaw(f"{where}.replacement", f"must be at most {MAX_REPLACEMENT_CHARS} printable characters on one line")
        )
    if not 1 <= len(rule.pattern) <= MAX_RULE_PATTERN_CHARS:
        return [*flaws, Flaw(f"{where}.pattern", f"must have from 1 to {MAX_RULE_PATTERN_CHARS} characters")]
    try:
        pattern = compiled(rule.pattern)
        # Not where a stored guard is compiled: one that was taken before goes on as it did.
        if _is_sometimes_empty(pattern):
            raise ValueError(_EMPTY)
    except ValueError as error:
        flaws.append(Flaw(f"{where}.pattern", str(error)))
    return flaws


def _is_within(bound: int | None, other: int | None) -> bool:
    return other is None or (bound is not None and bound <= other)
