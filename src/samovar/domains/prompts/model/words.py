"""What of a prompt is searched."""

from collections.abc import Sequence

from samovar.ports.words import MAX_QUERY_CHARS, MAX_QUERY_WORDS, query_stems, stems

__all__ = ["MAX_QUERY_CHARS", "MAX_QUERY_WORDS", "query_stems", "searched", "stems"]


def searched(name: str, tags: Sequence[str], text: str) -> str:
    """The stems of a prompt: of its name, tags and text."""
    return stems("\n".join([name, *tags, text]))
