"""The two data files that come with Samovar."""

from importlib.resources import files

from samovar.domains.catalog.model import FamilyTable, PriceBook


def bundled_prices() -> PriceBook:
    """The price snapshot (ADR 0001); read when it is first asked."""
    return PriceBook(read=(files("samovar.domains.catalog") / "snapshot.json").read_bytes)


def bundled_families() -> FamilyTable:
    """What model families can do."""
    return FamilyTable.parse((files("samovar.domains.catalog") / "abilities.toml").read_text("utf-8"))
