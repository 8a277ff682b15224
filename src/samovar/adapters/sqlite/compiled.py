"""Statements put together once in a process, whichever pool of whichever file runs them."""

from functools import cache
from typing import Any, Final

from sqlalchemy.util import LRUCache

_KEPT: Final = 1000


class _Compiled(LRUCache[Any, Any]):
    """SQLAlchemy keeps these for each engine by itself, its dialect a part of the key: what the writer and the readers both run
    was put together twice. Ours are all alike: what is written depends on the library, never on the file."""

    def get(self, key: Any, default: Any = None) -> Any:
        """As the library's, for a key of another engine, too."""
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


@cache
def compiled_once() -> LRUCache[Any, Any]:
    """The one of this process."""
    return _Compiled(_KEPT)
