"""What every storage element holds itself to, whatever it is made of: names, attributes as bytes, modes. Pure."""

import re
from enum import StrEnum
from typing import Final

import msgspec

from samovar.kernel.errors import Invalid
from samovar.ports.elements import (
    ATTRIBUTES_BYTES,
    Attributes,
    AttributesTooLarge,
    ContentDiffers,
    DamagedFile,
    Draft,
    Mode,
    ModeRefused,
)

ATTRIBUTES_SUFFIX: Final = ".attr.json"
NAME_BYTES: Final = 255
"""What a file system, and we, take as one name."""
PATH_BYTES: Final = 1000
"""A bucket takes 1,024 bytes as a key; ours has a prefix, and attributes a suffix."""
_DEPTH: Final = 16
_FILE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_CHECKSUM: Final = re.compile(r"[0-9a-f]{64}")
_ANY_CHECKSUM: Final = "0" * 64
_ANY_BYTES: Final = 2**63


class PathRefused(Invalid):
    """A path, or an id, that an element does not take as a name."""

    code = "path_refused"
    title = "The path is none that a storage element takes"


class Operation(StrEnum):
    """What a mode allows or refuses."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    QUARANTINE = "quarantine"
    RESTORE = "restore"


_ALLOWED: Final = {
    Mode.EDIT: frozenset(Operation),
    Mode.RW: frozenset({Operation.READ, Operation.WRITE, Operation.QUARANTINE, Operation.RESTORE}),
    # To set a damaged file aside takes nothing away: it is still there, whole, for people.
    Mode.RO: frozenset({Operation.READ, Operation.QUARANTINE, Operation.RESTORE}),
    Mode.AR: frozenset({Operation.RESTORE}),
}


def check_mode(mode: Mode, operation: Operation, *, element_id: str) -> None:
    """Raises :class:`ModeRefused` where ``mode`` does not allow ``operation``."""
    if operation in _ALLOWED[mode]:
        return
    hint = " Its content is cold: restore the file first." if mode is Mode.AR and operation is Operation.READ else ""
    raise ModeRefused(f"The storage element {element_id} is in mode {mode}, which does not allow {operation}.{hint}")


def check_lowering(current: Mode, wanted: Mode, *, element_id: str) -> None:
    """Raises :class:`ModeRefused` for every step but ``rw`` to ``ro`` and ``ro`` to ``ar``."""
    if (current, wanted) not in ((Mode.RW, Mode.RO), (Mode.RO, Mode.AR)):
        raise ModeRefused(
            f"The storage element {element_id} is in mode {current}; from there no request leads to {wanted}: "
            "rw goes to ro and ro to ar, all else by configuration and restart."
        )


class ModeKept(msgspec.Struct, frozen=True, kw_only=True):
    """What an element remembers of its mode over restarts: the mode, and what was configured when it took it."""

    element_id: str
    mode: Mode
    configured: Mode


def mode_at_start(kept: ModeKept | None, configured: Mode) -> Mode:
    """The mode to start in. Configuration moves freely between ``edit`` and ``rw`` and may lower; out of ``ro`` it leads
    only to ``ar``; out of ``ar`` it leads anywhere, but must have been changed since: what was lowered by request stays
    lowered when the same configuration starts again."""
    if kept is None or kept.mode in (Mode.EDIT, Mode.RW):
        return configured
    if kept.mode is Mode.AR:
        return configured if configured is not kept.configured else Mode.AR
    return Mode.AR if configured is Mode.AR else Mode.RO


def check_path(path: str) -> str:
    """``path``, when it is relative, bounded, and has no segment that hides or climbs. Raises :class:`PathRefused`."""
    try:
        raw = path.encode()
    except UnicodeEncodeError as error:
        raise PathRefused("A path must be text.") from error
    segments = path.split("/")
    if not raw or len(raw) > PATH_BYTES or len(segments) > _DEPTH:
        raise PathRefused(f"A path has 1 to {PATH_BYTES} bytes and {_DEPTH} segments at most.")
    # Some stores take a backslash for a slash.
    if not path.isprintable() or "\\" in path:
        raise PathRefused("A path must have no control characters and no backslash.")
    if any(not segment or segment.startswith(".") for segment in segments):
        raise PathRefused("A path is relative, and no segment of it is empty or begins with a dot.")
    longest = max(len(segment.encode()) for segment in segments)
    if longest > NAME_BYTES - len(ATTRIBUTES_SUFFIX):
        raise PathRefused(f"A segment of a path has {NAME_BYTES - len(ATTRIBUTES_SUFFIX)} bytes at most.")
    # Of the folders too: they would stand where the attributes of another file belong.
    if any(segment.endswith(ATTRIBUTES_SUFFIX) for segment in segments):
        raise PathRefused(f"No segment of a path ends in {ATTRIBUTES_SUFFIX}: that is for what stands beside files.")
    return path


def check_file_id(file_id: str) -> str:
    """``file_id``, when it can stand in a name. Raises :class:`PathRefused`."""
    if not _FILE_ID.fullmatch(file_id):
        raise PathRefused("A file id has 1 to 80 letters, digits, _ and -.")
    return file_id


def check_draft(draft: Draft, *, element_id: str) -> None:
    """Say before the first byte what could not be committed after the last. Raises :class:`PathRefused`,
    :class:`AttributesTooLarge`, :class:`ContentDiffers`."""
    check_path(draft.path)
    check_file_id(draft.file_id)
    if draft.expected_checksum is not None and not _CHECKSUM.fullmatch(draft.expected_checksum):
        raise ContentDiffers("A SHA-256 has 64 hexadecimal digits, in lower case.")
    encoded(_of(draft, element_id=element_id, size_bytes=_ANY_BYTES, checksum=_ANY_CHECKSUM))


def check_length(draft: Draft, size_bytes: int) -> None:
    """Raises :class:`ContentDiffers` where more came than was announced."""
    if draft.expected_bytes is not None and size_bytes > draft.expected_bytes:
        raise ContentDiffers(f"{draft.expected_bytes} bytes were announced, and more came.")


def made_of(draft: Draft, *, element_id: str, size_bytes: int, checksum: str) -> Attributes:
    """The attributes of what arrived. Raises :class:`ContentDiffers` where it is not what was announced."""
    if draft.expected_bytes not in (None, size_bytes):
        raise ContentDiffers(f"{draft.expected_bytes} bytes were announced, and {size_bytes} came.")
    if draft.expected_checksum not in (None, checksum):
        raise ContentDiffers(f"The checksum {draft.expected_checksum} was announced; the content's is {checksum}.")
    return _of(draft, element_id=element_id, size_bytes=size_bytes, checksum=checksum)


def check_same(draft: Draft, stands: Attributes) -> Attributes:
    """``stands``, when it is what ``draft`` would make: a step that is repeated. Raises :class:`PathRefused`,
    :class:`ContentDiffers`."""
    if stands.file_id != draft.file_id:
        raise PathRefused("Another file stands at this path.")
    made_of(draft, element_id=stands.storage_element_id, size_bytes=stands.size_bytes, checksum=stands.checksum)
    return stands


def check_amendment(stands: Attributes, wanted: Attributes) -> None:
    """Raises :class:`samovar.kernel.errors.Invalid` where what never changes would change."""
    fixed = ("file_id", "path", "size_bytes", "checksum", "storage_element_id", "created_at", "team_id")
    changed = [name for name in fixed if getattr(stands, name) != getattr(wanted, name)]
    if changed:
        raise Invalid(f"{', '.join(changed)} of a file never change.")


def encoded(attributes: Attributes) -> bytes:
    """What stands in an ``*.attr.json``. Raises :class:`AttributesTooLarge`."""
    raw = msgspec.json.encode(attributes)
    if len(raw) > ATTRIBUTES_BYTES:
        raise AttributesTooLarge(
            f"The attributes take {len(raw)} bytes, {ATTRIBUTES_BYTES} at most: shorten names, tags or custom attributes."
        )
    return raw


def decoded(raw: bytes, *, path: str) -> Attributes:
    """What :func:`encoded` wrote. Raises :class:`DamagedFile` where it is not that, or belongs to another file."""
    try:
        attributes = msgspec.json.decode(raw, type=Attributes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedFile(f"The attributes of {path} cannot be read: {error}") from error
    if attributes.path != path:
        raise DamagedFile(f"The attributes of {path} are those of {attributes.path}.")
    return attributes


def _of(draft: Draft, *, element_id: str, size_bytes: int, checksum: str) -> Attributes:
    return Attributes(
        file_id=draft.file_id,
        path=draft.path,
        filename=draft.filename,
        content_type=draft.content_type,
        size_bytes=size_bytes,
        checksum=checksum,
        storage_element_id=element_id,
        created_at=draft.created_at,
        team_id=draft.team_id,
        owner=draft.owner,
        retention=draft.retention,
        revision=draft.revision,
        tags=draft.tags,
        custom=draft.custom,
        provenance=draft.provenance,
        replica_of=draft.replica_of,
        replicas=draft.replicas,
    )
