"""Words of files and prompts are known without the marks of their Latin letters.

What is asked for loses them from now on (``ports/words.py``), so what stands must have lost them too. Rows without such letters,
nearly all, are passed over in one scan; of the others the words that stand are spelled anew and stemmed again, and those of them
that change later are made from their text as always.
"""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op
from Stemmer import Stemmer

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_TABLES = (("files", "number"), ("prompts", "id"))
_AT_ONCE = 500
_LATIN = "\u00df-\u024f\u1e00-\u1eff"
_MARKED = re.compile("([a-z])[\u0300-\u036f]+")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_SPELLED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i", "ŧ": "t"}
)


def upgrade() -> None:
    bind = op.get_bind()
    has, pattern = ("~", f"[{_LATIN}]") if bind.dialect.name == "postgresql" else ("GLOB", f"*[{_LATIN}]*")
    english = Stemmer("english", 0)
    for name, key in _TABLES:
        table = sa.table(name, sa.column(key, sa.BigInteger), sa.column("stems", sa.Text))
        number, stems, after = table.c[key], table.c.stems, -1
        some = sa.select(number.label("number"), stems).where(stems.op(has)(pattern)).order_by(number).limit(_AT_ONCE)
        write = sa.update(table).where(number == sa.bindparam("at")).values(stems=sa.bindparam("anew"))
        while found := bind.execute(some.where(number > after)).all():
            after = found[-1].number
            bind.execute(write, [{"at": row.number, "anew": _anew(row.stems, english)} for row in found])


def downgrade() -> None:
    """Words are made from their text again when a row is written."""


def _anew(stems: str, english: Stemmer) -> str:
    apart = unicodedata.normalize("NFD", stems.translate(_SPELLED))
    words = unicodedata.normalize("NFC", _MARKED.sub(r"\1", apart)).split()
    return " ".join(dict.fromkeys(word if _CYRILLIC.search(word) else english.stemWord(word) for word in words))
