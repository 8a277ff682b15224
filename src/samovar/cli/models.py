"""``samovar models``: what can be called, and for how much."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from samovar.cli.api import Credential, ask_all, reach
from samovar.cli.output import note, say_json, say_table
from samovar.kernel.money import NANO_USD_PER_CREDIT, NANO_USD_PER_USD

_CREDITS_PER_USD = NANO_USD_PER_USD // NANO_USD_PER_CREDIT
_COLUMNS = ("model", "context", "most out", "abilities", "in", "out")


def show_models(*, search: str, as_json: bool, url: str | None, credential: Credential | None) -> None:
    """Print the models whose id or title holds each word of ``search``."""
    found = reach(lambda api: ask_all(api, "/api/models"), url=url, credential=credential)
    words = search.lower().split()
    chosen = [model for model in found if _matches(model, words)]
    if as_json:
        return say_json([{**model, "credits_per_million_tokens": _credits(model)} for model in chosen])
    rows = [_row(model) for model in chosen]
    say_table(_COLUMNS, rows, right=("context", "most out", "in", "out"))
    return note(
        f"{len(chosen)} of {len(found)} models. Prices in credits for a million tokens; 100 credits are a dollar."
    )


def _matches(model: Any, words: Sequence[str]) -> bool:
    text = f"{model['id']} {model['title'] or ''} {' '.join(model['abilities'] or ())}".lower()
    return all(word in text for word in words)


def _row(model: Any) -> tuple[str, ...]:
    abilities = model["abilities"]
    price = _credits(model)
    return (
        model["id"],
        _count(model["context_window"]),
        _count(model["max_output_tokens"]),
        "?" if abilities is None else ", ".join(abilities) or "text",
        price["input"] or "?",
        price["output"] or "?",
    )


def _credits(model: Any) -> dict[str, str | None]:
    rates = model["price"]["standard"]["rates"] if model["price"] else {}
    return {kind: _in_credits(rates.get(kind)) for kind in ("input", "output")}


def _in_credits(usd: str | None) -> str | None:
    if usd is None:
        return None
    text = f"{Decimal(usd) * _CREDITS_PER_USD:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"
