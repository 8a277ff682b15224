"""What the catalogue is made of: providers, models, and the names an admin gives them."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from samovar.domains.catalog.model.prices import PriceCard

MAX_NAME_CHARS: Final = 256
"""No model, alias or group name is longer: a name is looked up, kept and written into headers."""
MAX_GROUP_MODELS: Final = 16
MAX_WEIGHT: Final = 1000
MAX_QUALITY: Final = 100

PROVIDER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# Without a slash, so that ``provider/model`` always means that provider's model and never somebody's alias.
ALIAS_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
_PRINTABLE: Final = re.compile(r"[!-~]+")


class Ability(StrEnum):
    """What a model can take or give besides text."""

    VISION = "vision"
    AUDIO_IN = "audio_in"
    FILES_IN = "files_in"
    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    REASONING = "reasoning"
    IMAGE_OUT = "image_out"
    AUDIO_OUT = "audio_out"
    EMBEDDINGS = "embeddings"


class Strategy(StrEnum):
    """How the best of several models is found for a call; docs/routing.md says what each looks at."""

    ORDER = "order"
    COST = "cost"
    LATENCY = "latency"
    QUALITY = "quality"
    BALANCED = "balanced"
    WEIGHTED = "weighted"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model of one provider. ``id`` is ``provider/name``; ``name`` is the vendor's own word for it, sent as it is.

    ``None`` is "unknown" throughout, never "none": ``abilities`` unknown means that nothing is refused for lack of one.
    """

    id: str
    provider: str
    name: str
    title: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    abilities: frozenset[Ability] | None = None
    price: PriceCard | None = None
    deprecated: bool = False
    quality: int | None = None
    """0 to 100, a matter of opinion: our table of families says one, an admin's override another."""


class ApiKey:
    """A provider's key. Its text comes out of :meth:`reveal` alone: not of ``repr``, ``str``, JSON or a traceback."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key itself, for the provider's header."""
        return self._text

    @property
    def hint(self) -> str:
        """Enough to tell two keys apart: the last four characters of a key long enough to spare them."""
        return f"...{self._text[-4:]}" if len(self._text) >= 16 else "..."

    def __repr__(self) -> str:
        return "ApiKey(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and other._text == self._text

    def __hash__(self) -> int:
        return hash((ApiKey, self._text))


class ProviderSource(StrEnum):
    """Where a provider's configuration stands."""

    ENVIRONMENT = "environment"
    DATABASE = "database"
    SANDBOX = "sandbox"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor with an address and a key, under a name of the team's. ``models`` are the only ones it serves, or ``None``
    for whatever the vendor knows. With ``spare_keys`` calls take turns over all the keys, and one that the vendor limits
    rests while the others go on."""

    id: str
    team_id: str
    name: str
    vendor: str
    base_url: str
    api_key: ApiKey | None = None
    source: ProviderSource = ProviderSource.DATABASE
    models: tuple[str, ...] | None = None
    enabled: bool = True
    revision: int = 1
    spare_keys: tuple[ApiKey, ...] = ()

    @property
    def api_keys(self) -> tuple[ApiKey, ...]:
        """All of its keys, the first first."""
        return () if self.api_key is None else (self.api_key, *self.spare_keys)


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as everybody may see it: of its keys only the hints; ``key_hint`` is the first's, ``None`` where it has
    none."""

    id: str
    name: str
    vendor: str
    base_url: str
    source: ProviderSource
    models: tuple[str, ...] | None
    enabled: bool
    key_hint: str | None
    key_hints: tuple[str, ...]
    revision: int

    @classmethod
    def of(cls, provider: Provider) -> "ProviderInfo":
        """``provider`` without its key."""
        return cls(
            id=provider.id,
            name=provider.name,
            vendor=provider.vendor,
            base_url=provider.base_url,
            source=provider.source,
            models=provider.models,
            enabled=provider.enabled,
            key_hint=None if provider.api_key is None else provider.api_key.hint,
            key_hints=tuple(key.hint for key in provider.api_keys),
            revision=provider.revision,
        )


class Target(msgspec.Struct, frozen=True):
    """Where a call may go."""

    provider: Provider
    model: Model

    @property
    def id(self) -> str:
        """The model's full id."""
        return self.model.id


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Another name for one model. It points to a model's full id, never to another alias: a loop cannot be written."""

    team_id: str
    name: str
    model_id: str
    revision: int = 1


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A name for several models, ranked for each call by ``strategy``: by default tried in this order. Members are full
    ids, as with :class:`Alias`. ``weights`` are for ``weighted``; a member that it leaves out weighs 1."""

    team_id: str
    name: str
    model_ids: tuple[str, ...]
    strategy: Strategy = Strategy.ORDER
    weights: Mapping[str, int] = {}
    revision: int = 1


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What an admin knows better than the snapshot. ``None`` leaves the snapshot's word."""

    team_id: str
    model_id: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    abilities: frozenset[Ability] | None = None
    price: PriceCard | None = None
    quality: int | None = None
    revision: int = 1

    def over(self, model: Model) -> Model:
        """``model`` with these words in place of its own."""
        return msgspec.structs.replace(
            model,
            context_window=model.context_window if self.context_window is None else self.context_window,
            max_output_tokens=model.max_output_tokens if self.max_output_tokens is None else self.max_output_tokens,
            abilities=model.abilities if self.abilities is None else self.abilities,
            price=model.price if self.price is None else self.price,
            quality=model.quality if self.quality is None else self.quality,
        )


class Resolved(msgspec.Struct, frozen=True):
    """What a name stands for: ``targets`` in the order given, and how the best of them is found. ``is_open``: nobody chose
    these targets by name (``auto:<strategy>``), so a few of the best will do."""

    targets: tuple[Target, ...]
    strategy: Strategy = Strategy.ORDER
    weights: Mapping[str, int] = {}
    is_open: bool = False


def is_for_chat(model: Model) -> bool:
    """Whether a model may talk, as far as its abilities say: not one for vectors, pictures, or sound alone."""
    able = model.abilities
    if able is None:
        return True
    if Ability.EMBEDDINGS in able or Ability.IMAGE_OUT in able:
        return False
    return able not in ({Ability.AUDIO_IN}, {Ability.AUDIO_OUT})


def is_model_id(text: str) -> bool:
    """Whether ``text`` has the form ``provider/model``."""
    provider, slash, name = text.partition("/")
    return bool(slash) and PROVIDER_NAME.fullmatch(provider) is not None and is_model_name(name)


def is_model_name(text: str) -> bool:
    """Whether a vendor could call a model so: printable ASCII without spaces, bounded."""
    return len(text) <= MAX_NAME_CHARS and _PRINTABLE.fullmatch(text) is not None
