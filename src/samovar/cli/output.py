"""What commands write: data on standard output, words to the person on standard error, so that a pipe gets data alone."""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import typer

# Rich is loaded by what needs it: data goes out without.

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_PIPE_WIDTH: Final = 200
# A model's or a stranger's text must not repaint the terminal: C0 but tab and line feed, DEL, C1.
_CONTROL: Final = dict.fromkeys((*(code for code in range(32) if code not in (9, 10)), *range(127, 160)))


class CannotDo(Exception):
    """What stands in the way and how to mend it, in plain words."""


def note(text: str) -> None:
    """A word to whoever sits there."""
    complain("", text)


def complain(what: str, text: str) -> None:
    """A word to whoever sits there, of which ``what`` stands out: ``text`` is what there is to say of it."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble((what, "red"), text))


def say(text: str) -> None:
    """A line of standard output, as it is."""
    typer.echo(text)


def say_bytes(data: bytes) -> None:
    """A file on standard output."""
    typer.echo(data, nl=False)


def say_json(data: Any) -> None:
    """``data`` as indented JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table; the columns named in ``right`` hold figures. Through a pipe it is wide, so that nothing is cut off."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_PIPE_WIDTH)
    console.print(table)


def harmless(text: str) -> str:
    """``text`` without the control characters that a terminal obeys."""
    return text.translate(_CONTROL)
