"""Words, the one place where the engines differ: a GIN index on PostgreSQL, a table of words (FTS5) on SQLite.

Both are kept by the engine itself (a generated column there, triggers here), so whoever writes a row has it indexed. The stems
are ours (``ports/words.py``): neither engine changes them.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, literal, literal_column, text

from samovar.domains.files.store.tables import files
from samovar.ports.database import Tx


def words_match(stems: Sequence[str]) -> ColumnElement[bool]:
    """On PostgreSQL: each of ``stems`` begins a word of the file; one of a single letter is a word of it."""
    wanted = " & ".join(f"'{stem}':*" if _is_beginning(stem) else f"'{stem}'" for stem in stems)
    vector: ColumnElement[Any] = literal_column("files.file_search")
    return vector.op("@@")(text("CAST(:wanted AS tsquery)").bindparams(bindparam("wanted", wanted)))


async def plan_for_words(tx: Tx) -> None:
    """On PostgreSQL: have what is asked next planned with its words in sight, to the transaction's end. A plan that serves any
    words takes them for rare: 9 ms of the server's processor instead of 0.1 where they are not."""
    await tx.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))


def fts_expression(stems: Sequence[str]) -> str:
    """The same, as SQLite's FTS5 reads it."""
    return " AND ".join(f'"{stem}"*' if _is_beginning(stem) else f'"{stem}"' for stem in stems)


def stems_match(stems: Sequence[str]) -> list[ColumnElement[bool]]:
    """On SQLite: the same of one row, without the index, which takes far longer to say whether it has a row than the row does."""
    words = literal(" ").concat(files.c.stems).concat(" ")
    return [func.instr(words, f" {stem}" if _is_beginning(stem) else f" {stem} ") > 0 for stem in stems]


def is_sqlite(tx: Tx) -> bool:
    """Which of the two this is."""
    return tx.dialect.name != "postgresql"


def _is_beginning(stem: str) -> bool:
    # One letter begins thousands of words, and tells nothing.
    return len(stem) > 1
