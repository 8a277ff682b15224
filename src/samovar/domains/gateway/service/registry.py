"""How each target did lately, in this process: what the calls teach and routing asks. One event loop owns it; every lesson
costs the same however many there were."""

from collections.abc import Callable, Iterable, Mapping
from math import exp
from typing import Final

from samovar.domains.gateway.model import Breaker, BreakerState
from samovar.domains.gateway.model.routing import TargetKey, Vitals

MAX_TARGETS: Final = 4096
# Figures fade by this time constant: what a target did two minutes ago hardly counts against what it did just now.
_FADE_S: Final = 30.0
# However many calls there were, a new one weighs at least a ninth: a target that turns bad is noticed within a few.
_MOST_WEIGHT: Final = 8.0
# Vendors count by the minute, so what was left of a limit says nothing afterwards.
_HEADROOM_S: Final = 60.0
_LEAST_TOKENS: Final = 8
_LIMITS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "openai": (
        ("x-ratelimit-remaining-requests", "x-ratelimit-limit-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens"),
    ),
    "anthropic": (
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-limit"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-limit"),
    ),
}


class _Mean:
    """An average whose past fades with time: exponentially weighted by age, not by count."""

    __slots__ = ("at", "value", "weight")

    def __init__(self) -> None:
        self.at = 0.0
        self.value = 0.0
        self.weight = 0.0

    def add(self, value: float, now: float) -> None:
        """One more observation."""
        past = self.weight * exp((self.at - now) / _FADE_S)
        # Not `min`: it costs as much as all the rest, and every call comes by here.
        self.weight = weight = (past if past < _MOST_WEIGHT else _MOST_WEIGHT) + 1.0
        self.value += (value - self.value) / weight
        self.at = now


class _Life:
    """What is known of one target. Times are monotonic seconds."""

    __slots__ = ("cools_until", "failure", "first", "headroom", "headroom_at", "rate", "seen_at", "whole")

    def __init__(self) -> None:
        self.first = _Mean()
        self.rate = _Mean()
        self.whole = _Mean()
        self.failure = _Mean()
        self.seen_at = 0.0
        self.headroom = 1.0
        self.headroom_at = float("-inf")
        self.cools_until = 0.0

    def vitals(self, now: float, resting_s: float) -> Vitals:
        first, rate, whole, failure = self.first, self.rate, self.whole, self.failure
        share = 0.0
        if failure.value:
            # An old failure is forgiven: its weight fades, and what takes its place is trust.
            left = failure.weight * exp((failure.at - now) / _FADE_S)
            share = failure.value * left / (left + 1.0)
        return Vitals(
            first.value if first.weight else None,
            rate.value if rate.weight else None,
            whole.value if whole.weight else None,
            share,
            now - self.seen_at if self.seen_at else None,
            self.headroom if now - self.headroom_at < _HEADROOM_S else None,
            self.cools_until - now if self.cools_until > now else 0.0,
            resting_s,
        )


class TargetRegistry:
    """Bounded: of more targets than :data:`MAX_TARGETS` those are forgotten that were not heard of for longest."""

    def __init__(self) -> None:
        self._lives: dict[TargetKey, _Life] = {}
        self._cooling_until = 0.0

    def answered(
        self, key: TargetKey, *, now: float, first_s: float | None, whole_s: float, output_tokens: int
    ) -> None:
        """A call went well. ``first_s`` is the time to a stream's first content, ``None`` for a whole answer."""
        life = self._life(key)
        life.seen_at = now
        life.failure.add(0.0, now)
        if first_s is None:
            life.whole.add(whole_s, now)
            return
        life.first.add(first_s, now)
        # A few tokens that come in one packet say nothing of a rate.
        if output_tokens >= _LEAST_TOKENS and whole_s > first_s:
            life.rate.add(output_tokens / (whole_s - first_s), now)

    def failed(self, key: TargetKey, *, now: float) -> None:
        """A call failed by the target's fault."""
        life = self._life(key)
        life.seen_at = now
        life.failure.add(1.0, now)

    def sent_away(self, key: TargetKey, *, now: float, for_s: float) -> None:
        """The provider asked us to come back later (``Retry-After``)."""
        life = self._life(key)
        life.seen_at = now
        life.cools_until = now + for_s
        self._cooling_until = max(self._cooling_until, life.cools_until)

    def heard(self, key: TargetKey, *, now: float, dialect: str, header: Callable[[str], str | None]) -> None:
        """The headers of an answer: what is left of the rate limits, where the vendor says so."""
        left = headroom_in("anthropic" if dialect.startswith("anthropic") else "openai", header)
        if left is not None:
            life = self._life(key)
            life.headroom, life.headroom_at = left, now

    def any_cooling(self, now: float) -> bool:
        """Whether any target at all is to be left alone: cheap, for calls that need to know nothing else."""
        return self._cooling_until > now

    def vitals(
        self, keys: Iterable[TargetKey], *, now: float, breakers: Mapping[TargetKey, Breaker]
    ) -> dict[TargetKey, Vitals]:
        """What is known of these; those of which nothing is known are left out."""
        found: dict[TargetKey, Vitals] = {}
        lives = self._lives
        for key in keys:
            life = lives.get(key)
            if life is None:
                continue
            breaker = breakers.get(key)
            # A breaker whose rest is over lets one call through: that is how its target comes back.
            resting = breaker is not None and breaker.state is not BreakerState.CLOSED
            found[key] = life.vitals(now, breaker.rests_for_s(now) if resting and breaker is not None else 0.0)
        return found

    def all_vitals(self, now: float) -> dict[TargetKey, Vitals]:
        """Of all targets ever called, for metrics."""
        return self.vitals(self._lives, now=now, breakers={})

    def _life(self, key: TargetKey) -> _Life:
        life = self._lives.pop(key, None)
        if life is None:
            if len(self._lives) >= MAX_TARGETS:
                del self._lives[next(iter(self._lives))]
            life = _Life()
        # Put in anew, so that the first is always the one not heard of for longest.
        self._lives[key] = life
        return life


def headroom_in(family: str, header: Callable[[str], str | None]) -> float | None:
    """What is left of the scarcest limit, 0 to 1; ``None`` where the answer does not say."""
    least: float | None = None
    for left_name, limit_name in _LIMITS[family]:
        left = _number(header(left_name))
        if left is None:
            continue
        limit = _number(header(limit_name))
        if limit:
            share = min(1.0, left / limit)
            least = share if least is None else min(least, share)
    return least


def _number(text: str | None) -> float | None:
    # A vendor's header is a stranger's text: "nan" and a thousand digits are no figures.
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 15 else None
