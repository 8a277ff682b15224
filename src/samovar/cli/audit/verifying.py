"""Verifying an export. Imports the rules of the chain and nothing else of ours: an auditor needs no installation."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from samovar.cli.output import CannotDo
from samovar.domains.audit.errors import ChainBroken
from samovar.domains.audit.model import Checkpoint, PublicKey, Report, public_key_of, read_checkpoints, verify_lines
from samovar.domains.audit.model.exports import MAX_LINE_BYTES, read_keys

_STANDARD_INPUT: Final = Path("-")
_CHECKPOINTS: Final = ("*.json", "*/*.json")


def verified(file: Path, *, checkpoints: Sequence[Path], keys: Sequence[str], is_part: bool = False) -> Report:
    """What is found. Raises :class:`CannotDo` for keys and checkpoints that are none, and ``OSError``."""
    known = [pair for path in checkpoints for pair in _checkpoints(path)]
    trusted = [key for text in keys for key in _keys(text)]
    if file == _STANDARD_INPUT:
        return verify_lines(_lines(sys.stdin.buffer), trusted=trusted, known=known, is_part=is_part)
    with file.open("rb") as stream:
        return verify_lines(_lines(stream), trusted=trusted, known=known, is_part=is_part)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    # Whatever the file is, no more than a line of it is in memory; a longer one is no export's.
    while line := stream.readline(MAX_LINE_BYTES + 1):
        yield line


def _checkpoints(path: Path) -> Iterable[tuple[Checkpoint, PublicKey | None]]:
    files = sorted({found for pattern in _CHECKPOINTS for found in path.glob(pattern)}) if path.is_dir() else [path]
    found: list[tuple[Checkpoint, PublicKey | None]] = []
    for one in files:
        with one.open("rb") as stream:
            try:
                found += read_checkpoints(_lines(stream))
            except ChainBroken as error:
                raise CannotDo(f"{one} holds no checkpoints: {error.detail}") from error
    if not found:
        raise CannotDo(f"there is no checkpoint in {path}")
    return found


def _keys(text: str) -> list[PublicKey]:
    """``text`` is a key in base64, or the name of a file: of such keys a line each, or of lines of an export."""
    path = Path(text)
    try:
        if not path.is_file():
            return [public_key_of(text)]
        with path.open("rb") as stream:
            found = list(read_keys(_lines(stream)))
    except (ValueError, ChainBroken) as error:
        raise CannotDo(f"--public-key: {error}") from error
    if not found:
        raise CannotDo(f"--public-key: there is no key in {path}")
    return found
