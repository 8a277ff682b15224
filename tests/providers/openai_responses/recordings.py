"""Real answers of the API, where the folder of recordings is present beside the repository."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

FOLDER = Path(__file__).parents[4] / "shared" / "recordings"
PLACES = ("openai", "xai")

ABSENT = pytest.mark.skipif(not (FOLDER / "openai").is_dir(), reason=f"no recordings in {FOLDER.name}/openai")
ENDS = ("response.completed", "response.incomplete", "response.failed")


def answers() -> list[ParameterSet]:
    """(vendor, body) of whole answers."""
    return _params(
        (vendor, path.stem, path.read_bytes())
        for vendor, path in _files(".json")
        if json.loads(path.read_bytes()).get("object") == "response"
    )


def errors() -> list[ParameterSet]:
    """(vendor, body) of refusals."""
    return _params(
        (vendor, path.stem, path.read_bytes())
        for vendor, path in _files(".json")
        if "object" not in json.loads(path.read_bytes())
    )


def streams(*, failed: bool = False) -> list[ParameterSet]:
    """(vendor, event stream), one answer each: a recording of several calls is cut after each terminal event."""
    return _params(
        (vendor, name, stream) for vendor, name, stream in _streams() if (b'"response.failed"' in stream) is failed
    )


def framed(lines: list[bytes]) -> bytes:
    """The lines as the API sends them: each with its name."""
    return b"".join(b"event: " + json.loads(line)["type"].encode() + b"\ndata: " + line + b"\n\n" for line in lines)


def _files(suffix: str) -> Iterator[tuple[str, Path]]:
    for vendor in PLACES:
        for path in sorted((FOLDER / vendor).glob(f"responses-*{suffix}")):
            yield vendor, path


def _streams() -> Iterator[tuple[str, str, bytes]]:
    for vendor, path in _files(".chunks.txt"):
        several: list[bytes] = []
        at = 0
        for line in path.read_bytes().splitlines():
            try:
                kind = json.loads(line)["type"]
            except (ValueError, KeyError):
                # One recording has lost a brace: nothing in it can be replayed.
                break
            several.append(line)
            if kind in ENDS:
                yield vendor, path.name.removesuffix(".chunks.txt") + (f".{at}" if at else ""), framed(several)
                several, at = [], at + 1


def _params(named: Iterator[tuple[str, str, bytes]]) -> list[ParameterSet]:
    found = [pytest.param(vendor, body, id=name) for vendor, name, body in named]
    return found or [pytest.param("openai", b"", id="absent", marks=ABSENT)]
