"""Which model looks at a picture where the caller names none, or only who serves it. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from samovar.domains.catalog.model import Ability, Target
from samovar.domains.vision.errors import NoVisionModel

SANDBOX: Final = "sandbox"
_MAX_NAMED: Final = 5
_FETCHING: Final = frozenset({"openai", "azure", "anthropic", "openrouter", "xai", "bigmodel", "mistral", "groq"})
"""Vendors that fetch the address of a picture themselves, from their own network. One that runs on a machine of the user's
would fetch it from there: it gets the picture."""


def full_name(provider: str, model: str) -> str:
    """A provider and a model of its as one name; a model that is named in full already stays so."""
    return model if model.startswith(f"{provider}/") else f"{provider}/{model}"


def best_seeing(targets: Iterable[Target], provider: str) -> str:
    """The best of a provider's models that see, as our table of families judges them. Raises :class:`NoVisionModel`."""
    seeing = [one.model for one in targets if one.provider.name == provider and sees(one)]
    if not seeing:
        raise NoVisionModel(
            f"provider: the catalogue knows no vision model of {provider!r}. Name the model, or another provider."
        )
    return min(seeing, key=lambda model: (-(model.quality or 0), model.id)).id


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
