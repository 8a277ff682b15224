"""``samovar audit``: the commands, and what each does."""

from samovar.cli.audit.commands import app

__all__ = ["app"]
