"""How far work on files has come: bars for whoever watches, nothing for a pipe."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from samovar.cli.output import harmless

if TYPE_CHECKING:
    from rich.progress import ProgressColumn


class Bar(Protocol):
    """One file's."""

    def stands_at(self, size_bytes: int) -> None:
        """So much of it is done."""
        ...


class Bars(Protocol):
    """Those of all files of a command."""

    def bar(self, name: str, size_bytes: int | None) -> Bar:
        """One more; ``None`` where nobody knows how much of it there is."""
        ...


class _Silent:
    def bar(self, name: str, size_bytes: int | None) -> "_Silent":
        return self

    def stands_at(self, size_bytes: int) -> None:
        return None


@contextmanager
def bars() -> Iterator[Bars]:
    """On standard error, where that is a terminal: what a command prints may go through a pipe all the same."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

    with _drawn(BarColumn(), DownloadColumn(), TransferSpeedColumn()) as drawing:
        yield drawing


@contextmanager
def counts() -> Iterator[Bars]:
    """As :func:`bars`, of work whose end nobody knows: how many things were looked at."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    with _drawn(SpinnerColumn(), TextColumn("{task.completed:.0f} looked at"), TimeElapsedColumn()) as drawing:
        yield drawing


@contextmanager
def _drawn(*columns: "ProgressColumn") -> Iterator[Bars]:
    from rich.console import Console
    from rich.progress import Progress, TaskID, TextColumn

    class Drawn:
        def __init__(self, progress: Progress, task: TaskID) -> None:
            self._progress = progress
            self._task = task

        def stands_at(self, size_bytes: int) -> None:
            self._progress.update(self._task, completed=size_bytes)

    class Drawing:
        def __init__(self, progress: Progress) -> None:
            self._progress = progress

        def bar(self, name: str, size_bytes: int | None) -> Drawn:
            return Drawn(self._progress, self._progress.add_task(harmless(name), total=size_bytes))

    name = TextColumn("{task.description}", markup=False)
    with Progress(name, *columns, console=Console(stderr=True)) as progress:
        yield Drawing(progress)
