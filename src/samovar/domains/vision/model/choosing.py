"""Which model looks at a picture where the caller names none, or only who serves it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from types import MappingProxyType
from typing import Final

from samovar.domains.catalog.model import Ability, Model, Target
from samovar.domains.vision.errors import NoVisionModel

SANDBOX: Final = "sandbox"
_MAX_NAMED: Final = 5
_GOOD_QUALITY: Final = 75
_LOOK_TOKENS: Final = 1_000
_WORDS_TOKENS: Final = 300
_UNLISTED: Final[Mapping[str, str]] = MappingProxyType({"bigmodel": "glm-4.5v"})
"""By vendor: a model that sees, where the price list names none."""
_BEGINNINGS: Final[Mapping[str, str]] = MappingProxyType({"glm-": "bigmodel"})
"""Whose models are called so, and miss in its price list."""
_FETCHING: Final = frozenset({"openai", "azure", "anthropic", "openrouter", "xai", "bigmodel", "mistral", "groq"})
"""Vendors that fetch the address of a picture themselves, from their own network. One that runs on a machine of the user's
would fetch it from there: it gets the picture."""


def full_name(provider: str, model: str) -> str:
    """A provider and a model of its as one name; a model that is named in full already stays so."""
    return model if model.startswith(f"{provider}/") else f"{provider}/{model}"


def usual_model(targets: Iterable[Target], provider: str, *, at: datetime) -> str:
    """The model of a provider that looks where none is named: of those known to see, the cheapest that our table of families
    thinks well of, else the cheapest. Nobody shall be surprised by what it costs. Raises :class:`NoVisionModel`."""
    own = [one for one in targets if one.provider.name == provider]
    # What follows a colon is a variant, for batches say.
    seeing = [one.model for one in own if sees(one) and ":" not in one.model.name]
    good = [model for model in seeing if (model.quality or 0) >= _GOOD_QUALITY]
    if good or seeing:
        return min(good or seeing, key=lambda model: (_price(model, at), model.id)).id
    unlisted = _UNLISTED.get(own[0].provider.vendor) if own else None
    if unlisted is None:
        raise NoVisionModel(
            f"provider: the catalogue knows no vision model of {provider[:100]!r}. Name the model, or another provider."
        )
    return f"{provider}/{unlisted}"


def unlisted_name(name: str, targets: Iterable[Target]) -> str | None:
    """The full name of a model that no price list has, where its beginning says whose it is and one provider is that vendor."""
    vendor = next((vendor for start, vendor in _BEGINNINGS.items() if name.startswith(start)), None)
    providers = {one.provider.name for one in targets if one.provider.vendor == vendor}
    return f"{providers.pop()}/{name}" if len(providers) == 1 else None


def _price(model: Model, at: datetime) -> float:
    """Of a short look at one picture, in nano-dollars; what has no price comes last."""
    rates = None if model.price is None else model.price.rates(input_tokens=_LOOK_TOKENS, at=at)
    if rates is None or rates.input is None or rates.output is None:
        return inf
    return _LOOK_TOKENS * rates.input + _WORDS_TOKENS * rates.output


def only_seeing(targets: Iterable[Target]) -> str:
    """The sandbox's, where there is nothing but the sandbox: nobody is charged for a model that nobody chose. Raises
    :class:`NoVisionModel`."""
    seeing = [one for one in targets if sees(one)]
    ours = sorted(one.id for one in seeing if one.provider.name == SANDBOX)
    if ours and len(ours) == len(seeing):
        return ours[0]
    names = ", ".join(sorted({one.provider.name for one in seeing})[:_MAX_NAMED])
    raise NoVisionModel(
        "model: name a model or a provider, or have DEFAULT_MODEL set."
        + (f" Providers with vision models: {names}." if names else " No configured provider lists a vision model.")
    )


def sees(target: Target) -> bool:
    """Whether a model is known to take pictures."""
    model = target.model
    return model.abilities is not None and Ability.VISION in model.abilities and not model.deprecated


def require_sight(name: str, targets: Sequence[Target]) -> None:
    """Raises :class:`NoVisionModel` where all of them are known not to take pictures."""
    if all(one.model.abilities is not None and Ability.VISION not in one.model.abilities for one in targets):
        raise NoVisionModel(f"model: {name[:200]!r} takes no images; name a vision model.")


def fetch_themselves(targets: Iterable[Target]) -> bool:
    """Whether each of them takes the address of a picture."""
    return all(one.provider.vendor in _FETCHING for one in targets)
