"""Words as search knows them: Russian and English stems, the same in what is written and in what is asked. Pure.

Latin letters are without their marks: who asks for ``cafe`` finds ``café``, and the other way round. Cyrillic ones keep theirs
(й is no и), but for ё, which many write as е.
"""

import re
import threading
import unicodedata
from functools import cache, lru_cache
from typing import Final

MAX_QUERY_CHARS: Final = 200
MAX_QUERY_WORDS: Final = 16
_MAX_WORD_CHARS: Final = 64
_WORDS_KEPT: Final = 10_000
_WORD: Final = re.compile(r"[^\W_]+")
_MARKED: Final = re.compile("([a-z])[\u0300-\u036f]+")
# Those that Unicode does not take apart.
_SPELLED: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i", "ŧ": "t"}
)
_LATIN: Final = re.compile("[\u00c0-\u024f\u0300-\u036f\u1e00-\u1eff]")
"""What has marks to lose."""
_CYRILLIC: Final = re.compile(r"[\u0400-\u04ff]")


def stems(text: str) -> str:
    """The distinct stems of ``text``, blank between them: what is indexed."""
    return " ".join(dict.fromkeys(_stemmed(_words(text))))


def query_stems(text: str) -> tuple[str, ...]:
    """The distinct stems that all must be there; none where ``text`` has no word."""
    return tuple(dict.fromkeys(_stemmed(_words(text)[:MAX_QUERY_WORDS])))


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    if _LATIN.search(folded):
        folded = _unmarked(folded)
    return [word[:_MAX_WORD_CHARS] for word in _WORD.findall(folded)]


def _unmarked(text: str) -> str:
    apart = unicodedata.normalize("NFD", text.translate(_SPELLED))
    return unicodedata.normalize("NFC", _MARKED.sub(r"\1", apart))


class _Stemmers(threading.local):
    """They are not for several threads at once."""

    def __init__(self) -> None:
        # Imported at the first word.
        from Stemmer import Stemmer  # type: ignore[import-not-found]  # it ships no types

        self.russian, self.english = Stemmer("russian", 0), Stemmer("english", 0)


@cache
def _stemmers() -> _Stemmers:
    return _Stemmers()


@lru_cache(_WORDS_KEPT)
def _stem(word: str) -> str:
    stemmers = _stemmers()
    stem: str = (stemmers.russian if _CYRILLIC.search(word) else stemmers.english).stemWord(word)
    return stem


def _stemmed(words: list[str]) -> list[str]:
    return [_stem(word) for word in words]
