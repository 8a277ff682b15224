"""All SQL of prompts. Functions take the open transaction first and filter by team first."""

from samovar.domains.prompts.store import listing, pointers, rows, search, tables

__all__ = ["listing", "pointers", "rows", "search", "tables"]
