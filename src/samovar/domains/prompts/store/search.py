"""Words and tags, the one place where the engines differ: GIN indexes on PostgreSQL, tables of words (FTS5) and tags on SQLite.

All are kept by the engine itself (a generated column there, triggers here), so whoever writes a row has it indexed. The stems
are ours (``model/words.py``): neither engine changes them.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, bindparam, literal_column, text

from samovar.domains.prompts.store.tables import prompts
from samovar.ports.database import Tx

# The unary plus keeps SQLite from visiting the matches and sorting them all: it walks the sort's index instead, asks of each
# row whether it is among them, and stops when the page is full.
_AMONG: Final[ColumnElement[Any]] = literal_column("+prompts.id")

WORDS: Final[ColumnElement[Any]] = literal_column("prompts.prompt_search").label("prompt_search")
"""PostgreSQL's column of words: what :func:`holds_all` asks of a row."""


def sorts_all_found(tx: Tx) -> bool:
    """Whether the engine reads and sorts all prompts that have the words before it gives a page of them. GIN knows where on the
    disk they are and no more: 10,000 cost 10 to 20 ms."""
    return tx.dialect.name == "postgresql"


def holds_all(tx: Tx, stems: Sequence[str]) -> ColumnElement[bool]:
    """Each of ``stems`` begins a word of the prompt; one of a single letter is a word of it."""
    if tx.dialect.name == "postgresql":
        wanted = " & ".join(f"'{stem}':*" if _is_beginning(stem) else f"'{stem}'" for stem in stems)
        # By name, which a subquery of some of its rows bears as well.
        vector: ColumnElement[Any] = literal_column("prompts.prompt_search")
        # A query of its own is read once, and not again for each row.
        return vector.op("@@")(text("(SELECT CAST(:wanted AS tsquery))").bindparams(bindparam("wanted", wanted)))
    wanted = " AND ".join(f'"{stem}"*' if _is_beginning(stem) else f'"{stem}"' for stem in stems)
    found = text("(SELECT rowid FROM prompt_search WHERE prompt_search MATCH :wanted)").bindparams(wanted=wanted)
    return _AMONG.op("IN")(found)


def has_tag(tx: Tx, team_id: str, namespace: str, tag: str) -> ColumnElement[bool]:
    """``tag`` is one of the prompt's."""
    if tx.dialect.name == "postgresql":
        return prompts.c.tags.op("@>")(
            text("CAST(:tags AS jsonb)").bindparams(tags=msgspec.json.encode([tag]).decode())
        )
    found = text(
        "(SELECT prompt_id FROM prompt_search_tags WHERE team_id = :team AND namespace = :namespace AND tag = :tag)"
    ).bindparams(team=team_id, namespace=namespace, tag=tag)
    return _AMONG.op("IN")(found)


def _is_beginning(stem: str) -> bool:
    # One letter begins thousands of words, and tells nothing.
    return len(stem) > 1
