"""Real answers of the API, where the folder of recordings is present beside the repository."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

FOLDER = Path(__file__).parents[4] / "shared" / "recordings" / "google"

ABSENT = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recordings in {FOLDER.parent.name}/{FOLDER.name}")


def answers() -> list[ParameterSet]:
    """Bodies of whole answers."""
    found = _found("google-*.json")
    return _params((path.stem, path.read_bytes()) for path in found if "429" not in path.name)


def streams() -> list[ParameterSet]:
    """Event streams, framed as Google frames them."""
    return _params((path.name.removesuffix(".chunks.txt"), framed(path)) for path in _found("google-*.chunks.txt"))


def stream(name: str) -> bytes:
    """One of them."""
    return framed(FOLDER / f"{name}.chunks.txt")


def framed(path: Path) -> bytes:
    """One payload a line, as events."""
    return b"".join(b"data: " + line + b"\r\n\r\n" for line in path.read_bytes().splitlines())


def _found(pattern: str) -> list[Path]:
    return sorted(FOLDER.glob(pattern)) if FOLDER.is_dir() else []


def _params(named: Iterable[tuple[str, bytes]]) -> list[ParameterSet]:
    found = [pytest.param(body, id=name) for name, body in named]
    return found or [pytest.param(b"", id="absent", marks=ABSENT)]
