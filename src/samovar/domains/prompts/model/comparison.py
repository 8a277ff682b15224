"""What changed between two texts, line by line."""

from difflib import unified_diff
from typing import Final

from msgspec import Struct

from samovar.domains.prompts.model.prompt import FormerText, Prompt

_CONTEXT_LINES: Final = 3


class Side(Struct, frozen=True, kw_only=True):
    """Which text was compared: a version's, as it stood at a revision."""

    id: int
    version: int
    revision: int


class Comparison(Struct, frozen=True, kw_only=True):
    """``unified`` is a unified diff, empty where the texts are the same; ``added`` and ``removed`` count lines."""

    before: Side
    after: Side
    is_same: bool
    added: int
    removed: int
    unified: str


def compare(before: tuple[Side, str], after: tuple[Side, str]) -> Comparison:
    """How the text ``after`` came from the one ``before``. Up to a tenth of a second for texts of many different lines."""
    old, new = before[1].splitlines(), after[1].splitlines()
    lines = [*unified_diff(old, new, _named(before[0]), _named(after[0]), n=_CONTEXT_LINES, lineterm="")]
    changes = lines[2:]
    return Comparison(
        before=before[0],
        after=after[0],
        is_same=before[1] == after[1],
        added=sum(line.startswith("+") for line in changes),
        removed=sum(line.startswith("-") for line in changes),
        unified="\n".join([*lines, ""]) if lines else "",
    )


def side_of(prompt: Prompt) -> tuple[Side, str]:
    """A version as it stands."""
    return Side(id=prompt.id, version=prompt.version, revision=prompt.revision), prompt.text


def former_side(prompt: Prompt, former: FormerText) -> tuple[Side, str]:
    """A version as it stood."""
    return Side(id=prompt.id, version=prompt.version, revision=former.revision), former.text


def _named(side: Side) -> str:
    return f"version {side.version} (id {side.id}, revision {side.revision})"
