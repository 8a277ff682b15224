"""The data files that come with Samovar."""

from importlib.resources import files

from samovar.domains.catalog.model import FamilyTable, PriceBook


def bundled_prices() -> PriceBook:
    """The price snapshot (ADR 0001); read when it is first asked."""
    return PriceBook(read=(files("samovar.domains.catalog") / "snapshot.json").read_bytes)


def bundled_families() -> FamilyTable:
    """What model families can do, and how good they are held to be."""
    folder = files("samovar.domains.catalog")
    grades = (folder / "quality.toml").read_text("utf-8")
    return FamilyTable.parse((folder / "abilities.toml").read_text("utf-8"), grades=grades)
