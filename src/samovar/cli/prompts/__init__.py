"""``samovar prompts``: the commands, and what each does."""

from samovar.cli.prompts.commands import app

__all__ = ["app"]
