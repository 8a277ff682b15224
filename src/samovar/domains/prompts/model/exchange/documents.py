"""Exports as one piece of bytes after another, and imports out of one. Pure."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec
from msgspec import to_builtins

from samovar.domains.prompts.errors import BadImport
from samovar.domains.prompts.model.exchange.entries import Form, Item, entry_of, read_items
from samovar.domains.prompts.model.exchange.folder import path_of, read_files, write_file
from samovar.domains.prompts.model.exchange.packed import Packer, unpack
from samovar.domains.prompts.model.exchange.plain_yaml import read_yaml, write_yaml
from samovar.domains.prompts.model.prompt import Prompt
from samovar.kernel.errors import Flaw, Malformed

MEDIA_TYPES: Final[Mapping[Form, str]] = MappingProxyType(
    {Form.JSON: "application/json", Form.YAML: "application/yaml", Form.MARKDOWN: "application/zip"}
)
ENDINGS: Final[Mapping[Form, str]] = MappingProxyType({Form.JSON: "json", Form.YAML: "yaml", Form.MARKDOWN: "zip"})
_LITERALS: Final = ("text",)


class Writer(Protocol):
    """Writes an export: the pieces, put together, are the file."""

    def begin(self, *, at: datetime, count: int) -> bytes:
        """The first piece; ``count`` versions follow."""
        ...

    def add(self, prompt: Prompt, *, is_newest: bool) -> bytes:
        """One version. ``is_newest``: of its prompt."""
        ...

    def end(self) -> bytes:
        """The last piece."""
        ...


def writer(form: Form) -> Writer:
    """A writer of the form, for one export."""
    writers: dict[Form, type[Writer]] = {Form.JSON: _Json, Form.YAML: _Yaml, Form.MARKDOWN: _Folder}
    return writers[form]()


def read_document(raw: bytes, form: Form) -> list[Item]:
    """What an import holds. Raises ``BadImport``, which names each item that is wrong, and ``Malformed``."""
    if form is Form.MARKDOWN:
        items = read_files(unpack(raw))
        if not items:
            raise BadImport(
                [Flaw("body", "the zip holds no prompt; a prompt's file is called <namespace>/<name>.<language>.md")]
            )
        return items
    return read_items(_json(raw) if form is Form.JSON else read_yaml(_text(raw)))


def _json(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not JSON: {error}") from error


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})") from error


class _Json:
    """A version a line."""

    def __init__(self) -> None:
        self._separator = b"\n"

    def begin(self, *, at: datetime, count: int) -> bytes:
        return b'{"exported_at":%b,"count":%d,"prompts":[' % (msgspec.json.encode(at), count)

    def add(self, prompt: Prompt, *, is_newest: bool) -> bytes:
        separator, self._separator = self._separator, b",\n"
        return separator + msgspec.json.encode(prompt)

    def end(self) -> bytes:
        return b"\n]}\n"


class _Yaml:
    """The same as block YAML, the text last and line by line; nothing that only this registry knows."""

    def begin(self, *, at: datetime, count: int) -> bytes:
        head = write_yaml({"exported_at": at.isoformat(), "count": count})
        return f"{head}prompts:{'' if count else ' []'}\n".encode()

    def add(self, prompt: Prompt, *, is_newest: bool) -> bytes:
        text = write_yaml(to_builtins(entry_of(prompt)), literals=_LITERALS)
        # Not splitlines: it knows more ends of lines than YAML does.
        lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
        return "".join((*(_shifted(line, "- " if place == 0 else "  ") for place, line in enumerate(lines)),)).encode()

    def end(self) -> bytes:
        return b""


def _shifted(line: str, by: str) -> str:
    return line if line == "\n" else by + line


class _Folder:
    def __init__(self) -> None:
        self._packer = Packer()

    def begin(self, *, at: datetime, count: int) -> bytes:
        return b""

    def add(self, prompt: Prompt, *, is_newest: bool) -> bytes:
        entry = entry_of(prompt)
        return self._packer.add(path_of(entry, is_newest=is_newest), write_file(entry))

    def end(self) -> bytes:
        return self._packer.end()
