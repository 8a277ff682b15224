"""``samovar backup``: the commands, and what each does."""

from samovar.cli.backup.commands import app

__all__ = ["app"]
