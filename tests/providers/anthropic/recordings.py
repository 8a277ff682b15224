"""Real answers of the API, where the folder of recordings is present beside the repository."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

FOLDER = Path(__file__).parents[4] / "shared" / "recordings" / "anthropic"

ABSENT = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recordings in {FOLDER.parent.name}/{FOLDER.name}")
SPLICED = "spliced-message-start"


def answers() -> list[ParameterSet]:
    """Bodies of whole answers."""
    files = sorted(FOLDER.glob("*.json")) if FOLDER.is_dir() else []
    return _params((path.stem, path.read_bytes()) for path in files if not path.name.startswith("skills-"))


def streams() -> list[ParameterSet]:
    """Event streams, one answer each: a recording of several calls is cut after each ``message_stop``."""
    return _params((name, stream) for name, stream in _streams() if name != SPLICED)


def spliced() -> bytes:
    """Two answers, the second begun in the middle of the first."""
    return next(stream for name, stream in _streams() if name == SPLICED)


def _streams() -> Iterator[tuple[str, bytes]]:
    if not FOLDER.is_dir():
        return
    for path in sorted(FOLDER.glob("*.chunks.txt")):
        several: list[bytes] = []
        at = 0
        for line in path.read_bytes().splitlines():
            kind = json.loads(line)["type"]
            several.append(b"event: " + kind.encode() + b"\ndata: " + line + b"\n\n")
            if kind == "message_stop":
                name = path.name.removesuffix(".chunks.txt") + (f".{at}" if at else "")
                yield name, b"".join(several)
                several, at = [], at + 1
    for path in sorted(FOLDER.glob("sdk-*.txt")):
        yield path.stem, path.read_bytes()


def _params(named: Iterator[tuple[str, bytes]]) -> list[ParameterSet]:
    found = [pytest.param(body, id=name) for name, body in named]
    return found or [pytest.param(b"", id="absent", marks=ABSENT)]
