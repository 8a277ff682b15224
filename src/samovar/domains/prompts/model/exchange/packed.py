"""A folder of prompts as one zip, written as it goes and read within bounds."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from samovar.domains.prompts.errors import BadImport
from samovar.domains.prompts.model.exchange.entries import MAX_ENTRIES
from samovar.domains.prompts.model.exchange.folder import MAX_FILE_BYTES, SUFFIX, is_prompt_path
from samovar.kernel.errors import Flaw

MAX_UNPACKED_BYTES: Final = 256 * 1024 * 1024
"""Of all files of a zip together."""

# The same prompts shall make the same bytes: no file has a time.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE: Final = 0o100644 << 16
_ENCRYPTED: Final = 0x1


class Packer:
    """Makes a zip piece by piece: what it gives, put together, is the archive."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)

    def add(self, path: str, content: bytes) -> bytes:
        """The piece that holds this file."""
        info = zipfile.ZipInfo(path, _NO_TIME)
        info.external_attr = _PLAIN_FILE
        self._zip.writestr(info, content, zipfile.ZIP_DEFLATED)
        return self._sink.taken()

    def end(self) -> bytes:
        """The last piece."""
        self._zip.close()
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """Takes what is written; cannot seek, so the archive is made front to back."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, block: bytes) -> int:  # type: ignore[override]  # any buffer, in its words
        self._blocks.append(bytes(block))
        return len(block)

    def taken(self) -> bytes:
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)


def unpack(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The prompts' files in a zip; a README at its root and hidden files are passed over. Raises ``BadImport``."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            yield from _files(opened)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _not_a_zip(str(error)) from error


def _files(opened: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    if len(entries) > 2 * MAX_ENTRIES:
        raise BadImport([Flaw("body", f"the zip holds {len(entries)} files; {MAX_ENTRIES} prompts are the most")])
    refused = [flaw for entry in entries if (flaw := _flaw(entry)) is not None]
    if refused:
        raise BadImport(refused)
    left = MAX_UNPACKED_BYTES
    for entry in entries:
        if not is_prompt_path(entry.filename):
            continue
        # What the directory says of sizes may be a lie: the bytes themselves are counted.
        with opened.open(entry) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        left -= len(content)
        if left < 0:
            raise BadImport([Flaw("body", f"the zip holds more than {MAX_UNPACKED_BYTES} bytes")])
        yield entry.filename, content


def _flaw(entry: zipfile.ZipInfo) -> Flaw | None:
    path = entry.filename
    parts = path.split("/")
    if "\\" in path or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        return Flaw(path[:300], "is no path within a folder of prompts")
    if entry.flag_bits & _ENCRYPTED:
        return Flaw(path[:300], "is encrypted")
    is_hidden = any(part.startswith(".") for part in parts)
    if len(parts) > 2 and path.endswith(SUFFIX) and not is_hidden:
        return Flaw(path[:300], "stands too deep: pack what is in the folder, not the folder itself")
    return None


def _not_a_zip(why: str) -> BadImport:
    return BadImport([Flaw("body", f"is no zip that can be read: {why[:200]}")])
