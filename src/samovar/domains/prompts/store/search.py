"""Full text, the one place where the engines differ: a GIN index over the stems on PostgreSQL, an FTS5 table on SQLite.

Both are kept by the engine itself (an expression index there, triggers here), so whoever writes a row has it indexed. The
stems are ours (``model/words.py``): neither engine changes them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, bindparam, literal_column, text

from samovar.domains.prompts.store.tables import prompts
from samovar.ports.database import Tx


def holds_all(tx: Tx, stems: Sequence[str]) -> ColumnElement[bool]:
    """Each of ``stems`` begins a word of the prompt."""
    if tx.dialect.name == "postgresql":
        wanted = " & ".join(f"'{stem}':*" for stem in stems)
        vector: ColumnElement[Any] = literal_column("array_to_tsvector(string_to_array(prompts.stems, ' '))")
        return vector.op("@@")(text("CAST(:wanted AS tsquery)").bindparams(bindparam("wanted", wanted)))
    wanted = " AND ".join(f'"{stem}"*' for stem in stems)
    found = text("(SELECT rowid FROM prompt_search WHERE prompt_search MATCH :wanted)").bindparams(wanted=wanted)
    # The unary plus keeps SQLite from visiting the matches and sorting them all: it walks the sort's index instead, asks of each
    # row whether it is among them, and stops when the page is full.
    return literal_column("+prompts.id").op("IN")(found)


def has_tag(tx: Tx, tag: str) -> ColumnElement[bool]:
    """``tag`` is one of the prompt's."""
    if tx.dialect.name == "postgresql":
        return prompts.c.tags.op("@>")(
            text("CAST(:tags AS jsonb)").bindparams(tags=msgspec.json.encode([tag]).decode())
        )
    # Looking for the text first is quick, and right but for tags that hold quotes and commas: those the second part tells apart.
    return text(
        "(instr(prompts.tags, :written) > 0 AND EXISTS (SELECT 1 FROM json_each(prompts.tags) WHERE value = :tag))"
    ).bindparams(written=msgspec.json.encode(tag).decode(), tag=tag)  # type: ignore[return-value]
