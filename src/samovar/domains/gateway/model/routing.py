"""What routing knows and what it says: the data of a choice between targets. :mod:`ranking` makes one of the other."""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias

import msgspec

from samovar.domains.catalog.model import Ability, Strategy, Target
from samovar.ports.llm import ChatRequest, Media, MediaKind, Usage

EXPLORE_SHARE: Final = 0.05
"""At most this share of the calls of ``latency`` and ``balanced`` goes to a target that was not seen lately."""
SEEN_LATELY_S: Final = 60.0
OPEN_ATTEMPTS: Final = 4
"""How many of the best are tried where nobody named the targets (``auto:<strategy>``)."""
ASSUMED_OUTPUT_TOKENS: Final = 1024
"""What an answer is priced at where the caller sets no bound: the same for each target, so that they can be compared."""
CACHED_FROM_TOKENS: Final = 1024
"""From here on vendors cache a prompt of their own accord, where they do (OpenAI and those that follow it)."""

TargetKey: TypeAlias = tuple[str, str]
"""The provider's own id and the model's full id: names belong to a team, and one team's sick server is not another's."""

_NEEDED: Final[Mapping[MediaKind, Ability]] = {
    MediaKind.IMAGE: Ability.VISION,
    MediaKind.AUDIO: Ability.AUDIO_IN,
    MediaKind.FILE: Ability.FILES_IN,
}


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What a call asks of a target. ``input_tokens`` is our estimate; ``max_output_tokens`` the caller's own bound."""

    input_tokens: int = 0
    max_output_tokens: int | None = None
    needs: frozenset[Ability] = frozenset()
    stream: bool = False

    @classmethod
    def of(cls, request: ChatRequest, *, input_tokens: int, stream: bool) -> "Demand":
        """What ``request`` asks: its media, tools, form of answer and thinking."""
        needs = {
            _NEEDED[part.kind]
            for message in request.messages
            for part in message.parts
            if isinstance(part, Media) and part.kind in _NEEDED
        }
        if request.tools:
            needs.add(Ability.TOOLS)
        if request.output is not None and request.output.kind == "json_schema":
            needs.add(Ability.JSON_SCHEMA)
        thinking = request.reasoning
        if thinking is not None and thinking.enabled is not False and thinking.effort != "none":
            needs.add(Ability.REASONING)
        return cls(
            input_tokens=input_tokens,
            max_output_tokens=request.max_output_tokens,
            needs=frozenset(needs),
            stream=stream,
        )


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How a target did lately, in this process. ``None`` is "never seen". ``age_s`` is how long ago it last answered or
    failed, ``failure`` the share of its calls that failed, ``headroom`` what is left of its rate limit (0 to 1),
    ``cooling_s`` how long its provider asked us to stay away, ``resting_s`` how long its breaker stays open."""

    first_s: float | None = None
    tokens_per_s: float | None = None
    whole_s: float | None = None
    failure: float = 0.0
    age_s: float | None = None
    headroom: float | None = None
    cooling_s: float = 0.0
    resting_s: float = 0.0


UNSEEN: Final = Vitals()


class Kept(msgspec.Struct, frozen=True):
    """Where a conversation was last answered, and how much of its prompt that vendor's cache holds."""

    key: TargetKey
    cached_tokens: int


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """All that a ranking looks at besides the targets. ``chance`` is a random number from 0 to 1 (1 excluded); without one
    nothing is explored or drawn. ``is_open``: see :class:`~samovar.domains.catalog.model.Resolved`."""

    strategy: Strategy
    demand: Demand
    at: datetime
    vitals: Mapping[TargetKey, Vitals] = {}
    weights: Mapping[str, int] = {}
    kept: Kept | None = None
    chance: float | None = None
    is_open: bool = False


class Standing(IntEnum):
    """What comes before any score: a target of a lower standing is tried first."""

    READY = 0
    NEARLY_SPENT = 1
    """Little is left of its rate limit."""
    PERHAPS = 2
    """Nobody knows whether it can do what is asked."""
    COOLING = 3
    """Its provider asked us to stay away for a while."""
    RESTING = 4
    """It failed again and again: its breaker is open."""

    @property
    def word(self) -> str:
        """As it is told."""
        return _WORDS[self]


_WORDS: Final = ("ready", "nearly spent", "perhaps", "cooling down", "resting")


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A target in the ranking. ``score`` is the strategy's own measure: nano-dollars, seconds, quality, balance or weight;
    ``None`` where it is not known. ``parts`` are cost, latency and quality as ``balanced`` weighs them, each 0 to 1."""

    target: Target
    standing: Standing
    score: float | None
    cost_nano_usd: int | None
    latency_s: float | None
    vitals: Vitals
    notes: tuple[str, ...] = ()
    parts: tuple[float, float, float] | None = None

    @property
    def key(self) -> TargetKey:
        """See :data:`TargetKey`."""
        return (self.target.provider.id, self.target.model.id)


class Excluded(msgspec.Struct, frozen=True, gc=False):
    """A target that cannot take the call."""

    target: Target
    reasons: tuple[str, ...]


class How(StrEnum):
    """By what the first of a ranking came to be first."""

    BEST = "best"
    EXPLORED = "explored"
    DRAWN = "drawn"
    KEPT = "kept"
    """It keeps its conversation, because leaving its prompt cache would cost more."""


class Held(msgspec.Struct, frozen=True):
    """A conversation's place: what it would cost to send its cached prompt somewhere at full price."""

    key: TargetKey
    model: str
    cached_tokens: int
    leaving_nano_usd: int


class Ranking(msgspec.Struct, frozen=True):
    """Targets, best first, and those that were ruled out. ``why`` is ASCII, for a header."""

    strategy: Strategy
    ranked: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]
    why: str
    how: How = How.BEST
    held: Held | None = None


def cached_next_time(usage: Usage, *, marks_needed: bool) -> int:
    """How many tokens of a conversation's next prompt its vendor will have in its cache. ``marks_needed``: it caches only
    what callers mark (it asks a price for writing), so only what it said counts."""
    said = usage.cached_input_tokens + usage.cache_write_tokens
    if said or marks_needed or usage.input_tokens < CACHED_FROM_TOKENS:
        return min(said, usage.input_tokens)
    return usage.input_tokens
