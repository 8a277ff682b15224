"""Prompts as a folder of Markdown files, made for git: ``<namespace>/<name>.<lang>.md`` is the newest version of a prompt, and
``<namespace>/<name>.<lang>@2.md`` an older one.

A file is front matter in YAML between two lines ``---``, then the text byte for byte, then one line feed that is not the
text's: files end with one, texts need not. A last line feed that an editor took away is not missed.

Front matter says whose text it is; a file that says less is asked for its path. Where both speak they must agree, so that no
file can pass for another, and no name can lead out of the folder.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote

from msgspec import UNSET, to_builtins

from samovar.domains.prompts.errors import BadImport
from samovar.domains.prompts.model.exchange.entries import Entry, Item, read_each
from samovar.domains.prompts.model.exchange.plain_yaml import read_yaml, write_yaml
from samovar.kernel.errors import Flaw, Malformed

SUFFIX: Final = ".md"
MAX_FILE_BYTES: Final = 256 * 1024
"""Ten thousand characters and a generous head."""

_OPENING: Final = re.compile(r"---[ \t]*\n")
_CRLF_RULE: Final = re.compile(r"---[ \t]*\r\n")
_CLOSING: Final = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)
# A file's name has 255 bytes on most systems; language, version and ending stand behind it.
_MAX_NAME_BYTES: Final = 200
_KEPT_BYTES: Final = 150
_HEAD: Final = (
    "namespace",
    "name",
    "lang",
    "version",
    "tags",
    "priority",
    "is_active",
    "is_default",
    "labels",
    "variables",
)
_SHORT: Final = {"is_active": "active", "is_default": "default"}
_LONG: Final = {short: long for long, short in _SHORT.items()}
# With one of these as its first word no file can be made on Windows.
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)
_PATH: Final = re.compile(
    r"(?P<namespace>[^/]+)/(?P<name>[^/]+)\.(?P<lang>[^./@]+)(?:@(?P<version>[1-9][0-9]{0,6}))?\.md", re.ASCII
)


def path_of(entry: Entry, *, is_newest: bool) -> str:
    """Where its file stands. Two prompts never share a path; names that differ in case alone do where letters have none."""
    version = "" if is_newest else f"@{entry.version}"
    return f"{_written(entry.namespace)}/{_written(entry.name)}.{entry.lang}{version}{SUFFIX}"


def write_file(entry: Entry) -> bytes:
    """The file of a version."""
    head = {
        _SHORT.get(field, field): to_builtins(value) for field in _HEAD if (value := getattr(entry, field)) is not UNSET
    }
    return f"---\n{write_yaml(head)}---\n{entry.text}\n".encode()


def is_prompt_path(path: str) -> bool:
    """Whether a file of a folder may be a prompt's: two levels deep, Markdown, and not hidden. Others are let alone."""
    parts = path.split("/")
    return len(parts) == 2 and path.endswith(SUFFIX) and not any(part.startswith(".") for part in parts)


def read_files(files: Iterable[tuple[str, bytes]]) -> list[Item]:
    """The entries of the files at these paths (within the folder, ``/`` between names). Raises ``BadImport``, which names each
    file that is wrong."""
    found: list[tuple[str, Any]] = []
    flaws: list[Flaw] = []
    for path, content in files:
        try:
            found.append((path, _fields(unicodedata.normalize("NFC", path), content)))
        except Malformed as error:
            flaws.append(Flaw(path, error.detail))
    if flaws:
        raise BadImport(flaws)
    items = read_each(found)
    misplaced = [
        item.flaw(f"its file must be called {expected}")
        for item in items
        if unicodedata.normalize("NFC", item.where)
        != (expected := path_of(item.entry, is_newest="@" not in item.where.rpartition("/")[2]))
    ]
    if misplaced:
        raise BadImport(misplaced)
    return items


def _fields(path: str, content: bytes) -> dict[str, Any]:
    named = _PATH.fullmatch(path)
    if named is None or not is_prompt_path(path):
        raise Malformed("a prompt's file is called <namespace>/<name>.<language>.md")
    if len(content) > MAX_FILE_BYTES:
        raise Malformed(f"it has more than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"it is not UTF-8 (byte {error.start})") from error
    head, body = _parted(text.removeprefix("\ufeff"))
    fields: dict[str, Any] = {field: unquote(named[field], errors="replace") for field in ("namespace", "name", "lang")}
    if named["version"]:
        fields["version"] = int(named["version"])
    fields.update({_LONG.get(field, field): value for field, value in head.items()})
    for field in ("text", "base"):
        if field in head:
            raise Malformed(f"{field!r} has no place in front matter; the text stands below it")
    return {**fields, "text": body}


def _parted(text: str) -> tuple[dict[str, Any], str]:
    """Front matter and text. Where the first line ends in CRLF, git or an editor made it of every line end, and it is undone."""
    if _CRLF_RULE.match(text):
        text = text.replace("\r\n", "\n")
    opening = _OPENING.match(text)
    closing = _CLOSING.search(text, opening.end()) if opening else None
    if opening is None or closing is None:
        raise Malformed("it must begin with front matter between two lines ---")
    head = read_yaml(text[opening.end() : closing.start()])
    if head is not None and not isinstance(head, dict):
        raise Malformed("its front matter must be fields with values")
    return head or {}, text[closing.end() :].removesuffix("\n")


def _written(name: str) -> str:
    """``name`` as a part of a path, readable where it can be: letters and digits of any script, ``_``, ``-``, ``.``, and blanks
    between them. All else is percent-encoded. A name too long for a file is cut, and told apart by its hash."""
    # What some file systems would compose is spelled out, and so comes back as it was.
    safe = _is_safe if unicodedata.is_normalized("NFC", name) else _is_safe_ascii
    written = "".join(char if safe(char) else _encoded(char) for char in name)
    if written.endswith("."):
        written = f"{written[:-1]}%2E"
    if _RESERVED.match(written):
        written = _encoded(written[0]) + written[1:]
    if len(written.encode()) <= _MAX_NAME_BYTES:
        return written
    start = written.encode()[:_KEPT_BYTES].decode(errors="ignore")
    # A cut escape would be read as another character.
    return f"{re.sub('%[^%]{0,1}$', '', start)}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _is_safe(char: str) -> bool:
    return char.isalnum() or char in "_-. "


def _is_safe_ascii(char: str) -> bool:
    return char.isascii() and _is_safe(char)


def _encoded(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
