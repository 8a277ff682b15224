"""Several files in lockstep in one thread, so that they share their syncs.

Writers in threads of their own share a sync, too, but each of them sleeps and is woken for it, and they take the interpreter from
each other at every call of the system: 32 of those spend more time on that than on files. Here each step is a greenlet. Where it
needs a shared sync it gives way to the next one; once all wait, each sync is done once.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final, Generic, TypeVar

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # it ships no types

T = TypeVar("T")

Sync = Callable[[], None]

AT_ONCE: Final = 4
"""So many syncs keep a disk busy, and few threads from each other."""


class Outcome(Generic[T]):
    """Of one step."""

    __slots__ = ("_error", "_result")

    def __init__(self, step: Callable[[], T]) -> None:
        self._error: BaseException | None = None
        try:
            self._result = step()
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked for this one
            self._error = error

    def get(self) -> T:
        """Its result. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class _Step(greenlet):  # type: ignore[misc]
    """One of those that run together."""


def waits(sync: Sync) -> bool:
    """Have this sync done together with the others; whether there are others: else nothing happened. Raises what the sync
    raised."""
    current = getcurrent()
    if not isinstance(current, _Step) or current.parent is None:
        return False
    current.parent.switch(sync)
    return True


def run_together(pool: Executor, steps: Sequence[Callable[[], T]]) -> list[Outcome[T]]:
    """Run all of them in this thread, to their ends; no lock may be held where one waits for a sync. Syncs that differ go on at
    once in the ``pool``, which may be busy: nothing that waits for these steps may run there."""
    outcomes: list[Outcome[T] | None] = [None] * len(steps)

    def run(number: int) -> None:
        outcomes[number] = Outcome(steps[number])

    ready: list[tuple[_Step, BaseException | None]] = [(_Step(partial(run, n)), None) for n in range(len(steps))]
    while ready:
        waiting: dict[Sync, list[_Step]] = {}
        for step, error in ready:
            wanted = step.switch() if error is None else step.throw(error)
            if not step.dead:
                waiting.setdefault(wanted, []).append(step)
        errors = _synced(pool, [*waiting])
        ready = [(step, error) for some, error in zip(waiting.values(), errors, strict=True) for step in some]
    return [outcome for outcome in outcomes if outcome is not None]


def _synced(pool: Executor, syncs: Sequence[Sync]) -> list[BaseException | None]:
    if len(syncs) < 2:
        return [_failure(sync) for sync in syncs]
    share = -(-len(syncs) // AT_ONCE)
    shares = [syncs[start : start + share] for start in range(0, len(syncs), share)]
    return [error for some in pool.map(_failures, shares) for error in some]


def _failures(syncs: Sequence[Sync]) -> list[BaseException | None]:
    return [_failure(sync) for sync in syncs]


def _failure(sync: Sync) -> BaseException | None:
    try:
        sync()
    except BaseException as error:  # noqa: BLE001 - edge: each who waits must hear of it
        return error
    return None
