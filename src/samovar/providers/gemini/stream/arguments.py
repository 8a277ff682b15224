"""Arguments of a call that arrive piece by piece, each with the JSON path where it belongs (``partialArgs``).

Only streams that were asked for with ``streamFunctionCallArguments`` have them. The pieces need not come in the order of the
finished text, so they are put together here and given whole.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from samovar.ports.dialect import BadAnswer
from samovar.providers.gemini.wire import PartialArg

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_MAX_STEPS: Final = 64
_MAX_ITEMS: Final = 10_000

_Step = str | int


class Arguments:
    """One call's arguments, growing. Raises :class:`BadAnswer` for paths that contradict one another."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._continued: tuple[_Step, ...] | None = None

    def add(self, pieces: Iterable[PartialArg]) -> None:
        """More of them."""
        for piece in pieces:
            steps = _steps(piece.json_path)
            self._put(steps, piece)
            self._continued = steps if piece.will_continue else None

    def json(self) -> str:
        """The object so far."""
        return msgspec.json.encode(self._root).decode()

    def _put(self, steps: tuple[_Step, ...], piece: PartialArg) -> None:
        holder: Any = self._root
        for step, following in itertools.pairwise(steps):
            holder = _inside(holder, step, fresh=[] if isinstance(following, int) else {})
        value = _value(piece)
        if self._continued == steps and isinstance(value, str):
            value = _at(holder, steps[-1]) + value
        _set(holder, steps[-1], value)


def _steps(path: str) -> tuple[_Step, ...]:
    if not path.startswith("$"):
        raise BadAnswer("The provider's streamed arguments have a path that does not begin with $.")
    steps: list[_Step] = []
    at = 1
    while at < len(path) and len(steps) <= _MAX_STEPS:
        found = _STEP.match(path, at)
        if found is None:
            break
        name, index, single, double = found.groups()
        steps.append(int(index) if index is not None else _unquoted(name, single, double))
        at = found.end()
    if at < len(path) or not steps or len(steps) > _MAX_STEPS:
        raise BadAnswer("The provider's streamed arguments have a path that cannot be read.")
    return tuple(steps)


def _unquoted(name: str | None, single: str | None, double: str | None) -> str:
    if name is not None:
        return name
    return re.sub(r"\\(.)", r"\1", single if single is not None else double or "")


def _value(piece: PartialArg) -> Any:
    for value in (piece.string_value, piece.number_value, piece.bool_value):
        if value is not None:
            return value
    # A piece without any value only says that more will come, or is null.
    return None if piece.null_value is not None else ""


def _inside(holder: Any, step: _Step, *, fresh: Any) -> Any:
    found = _at(holder, step)
    if found is None:
        _set(holder, step, fresh)
        return fresh
    return found


def _at(holder: Any, step: _Step) -> Any:
    match holder, step:
        case dict(), str():
            return holder.get(step)
        case list(), int():
            return holder[step] if step < len(holder) else None
    raise BadAnswer("The provider's streamed arguments contradict one another.")


def _set(holder: Any, step: _Step, value: Any) -> None:
    match holder, step:
        case dict(), str():
            holder[step] = value
        case list(), int() if step < _MAX_ITEMS:
            holder.extend([None] * (step + 1 - len(holder)))
            holder[step] = value
        case _:
            raise BadAnswer("The provider's streamed arguments contradict one another, or hold too long a list.")
