"""All SQL of files. Functions take the open transaction first and filter by team first, but for the elements, which are the
installation's, and for what looks after all files of an element."""

from samovar.domains.files.store import (
    collecting,
    elements,
    links,
    listing,
    outbox,
    owners,
    projection,
    rebuilding,
    rounds,
    rows,
    search,
    tables,
    transactions,
    ways,
)

__all__ = [
    "collecting",
    "elements",
    "links",
    "listing",
    "outbox",
    "owners",
    "projection",
    "rebuilding",
    "rounds",
    "rows",
    "search",
    "tables",
    "transactions",
    "ways",
]
