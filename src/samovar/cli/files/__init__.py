"""``samovar files``: files put, fetched, found, removed, finalized and verified."""

from samovar.cli.files.commands import app

__all__ = ["app"]
