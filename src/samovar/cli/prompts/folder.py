"""A folder of prompts on this disk, and what was in it when it was last pulled or pushed.

What was there is kept in ``.samovar-prompts.json`` beside the files, one line a file: committed with them it tells everybody's
push whether the registry changed since.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import msgspec

from samovar.cli.output import CannotDo
from samovar.domains.prompts.model.exchange import MAX_FILE_BYTES, Entry, is_prompt_path, read_files, write_file
from samovar.kernel.errors import SamovarError

STATE: Final = ".samovar-prompts.json"
_ATTRIBUTES: Final = ".gitattributes"
# The text of a prompt is its bytes: git shall make no CRLF of its line ends.
_LEAVE_LINES_ALONE: Final = "*.md -text\n"


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: dict[str, str]


def read_folder(root: Path) -> dict[str, Entry]:
    """The prompts in it by path. Raises :class:`CannotDo`, which names each file that is wrong."""
    if not root.is_dir():
        raise CannotDo(f"{root} is no folder; `samovar prompts pull {root}` makes one")
    try:
        items = read_files(_files(root))
    except SamovarError as error:
        flaws = "".join(f"\n  - {flaw.where}: {flaw.what}" for flaw in error.flaws)
        raise CannotDo(f"these files of {root} are no prompts:{flaws}") from error
    return {item.where: item.entry for item in items}


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for namespace in sorted(root.iterdir()):
        if not namespace.is_dir():
            continue
        for file in sorted(namespace.iterdir()):
            path = f"{namespace.name}/{file.name}"
            if not is_prompt_path(path) or file.is_dir():
                continue
            if namespace.is_symlink() or file.is_symlink():
                raise CannotDo(f"{file} lies behind a symbolic link; a prompt must stand in the folder itself")
            with file.open("rb") as stream:
                # A byte more than may be: what is too large is named, and not read.
                yield path, stream.read(MAX_FILE_BYTES + 1)


def read_state(root: Path) -> dict[str, str]:
    """The digest of each file's version when it was last the same here and in the registry. Raises :class:`CannotDo`."""
    file = root / STATE
    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=_State).files
    except msgspec.MsgspecError as error:
        raise CannotDo(f"{file} cannot be read ({error}); delete it, and say with --force what shall count") from error


def write_state(root: Path, digests: Mapping[str, str]) -> None:
    """See :func:`read_state`."""
    lines = msgspec.json.format(msgspec.json.encode(_State(dict(sorted(digests.items())))), indent=1)
    _write(root / STATE, lines + b"\n")


def write_entry(root: Path, path: str, entry: Entry) -> None:
    """A file of the folder, whole or not at all."""
    if (root / path).parent.is_symlink():
        raise CannotDo(f"{(root / path).parent} is a symbolic link; a prompt must stand in the folder itself")
    _write(root / path, write_file(entry))


def remove(root: Path, path: str) -> None:
    """Take a file away, and its folder where it was the last in it."""
    (root / path).unlink(missing_ok=True)
    if not any((root / path).parent.iterdir()):
        (root / path).parent.rmdir()


def prepare(root: Path) -> None:
    """Make the folder where there is none, with a word to git."""
    if root.exists() and not root.is_dir():
        raise CannotDo(f"{root} is no folder")
    root.mkdir(parents=True, exist_ok=True)
    if not (root / _ATTRIBUTES).exists():
        _write(root / _ATTRIBUTES, _LEAVE_LINES_ALONE.encode())


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as stream:
        try:
            stream.write(content)
            stream.flush()
            os.chmod(stream.name, 0o644)
            os.replace(stream.name, file)
        except BaseException:
            os.unlink(stream.name)
            raise
