"""A storage element: one directory, or one bucket, that keeps files and says what each one is.

Beside each file stands its ``*.attr.json``, an :class:`Attributes`. It is the only truth and the single commit point: a file
exists from the moment that its attributes stand under their final name, durably, and not before. Rows in the database are
made from it, and may be thrown away.

An element never writes the database. What it has committed and nobody has acknowledged yet, it tells again
(:meth:`StorageElement.unacknowledged`) until the row stands: so no durable file is ever undone because somebody else failed.

Every element is the authority for its own mode: it refuses what its mode does not allow, whoever asks.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import msgspec

from samovar.kernel.errors import Conflict, Flaw, Invalid, NotFound, SamovarError, Unavailable

ATTRIBUTES_BYTES: Final = 4096
"""As long as an ``*.attr.json`` may be."""


# --- what a file is ------------------------------------------------------------------------------------------------------


class Mode(StrEnum):
    """What an element may be asked to do. ``rw`` to ``ro`` to ``ar`` goes through :meth:`StorageElement.lower_mode` and never
    back; everything else by configuration and restart."""

    EDIT = "edit"
    """Everything."""
    RW = "rw"
    """Read and write, no deletion."""
    RO = "ro"
    """Read."""
    AR = "ar"
    """Attributes only; the content is cold, and read to be restored elsewhere."""


class RetentionKind(StrEnum):
    """How long a file is meant to stay."""

    TEMPORARY = "temporary"
    PERMANENT = "permanent"


class Retention(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``expires_at`` is when a temporary file may be collected; a permanent one has none."""

    kind: RetentionKind
    expires_at: datetime | None = None


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What made a file. ``cost_nano_usd`` is what the run cost; ``inputs`` are the ids of the files that went in."""

    run_id: str | None = None
    call_id: str | None = None
    prompt_id: str | None = None
    prompt_version: int | None = None
    model: str | None = None
    provider: str | None = None
    cost_nano_usd: int | None = None
    inputs: tuple[str, ...] = ()


Custom = dict[str, str | int | float | bool]
"""What the owner says of a file in words of their own."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be: all that its attributes will hold but what only the bytes tell.

    ``path`` is where it will stand, below the element's root, made by whoever takes the file in
    (``2026/11/21/13/report_ann_20261121T133100Z_<file_id>.pdf``); its attributes stand at ``path + ".attr.json"``.
    ``expected_checksum`` (SHA-256, hexadecimal) and ``expected_bytes`` are what the sender said, ``None`` where it said nothing.
    ``revision`` is where its attributes begin: a copy goes on from those of its source.
    """

    file_id: str
    path: str
    filename: str
    content_type: str
    team_id: str
    owner: str
    created_at: datetime
    retention: Retention
    tags: tuple[str, ...] = ()
    custom: Custom = msgspec.field(default_factory=dict)
    provenance: Provenance | None = None
    replica_of: str | None = None
    replicas: int | None = None
    revision: int = 1
    expected_checksum: str | None = None
    expected_bytes: int | None = None


class Attributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an ``*.attr.json`` holds. ``checksum`` is the content's SHA-256 in hexadecimal digits; ``revision`` grows with
    each amendment; ``replica_of`` names the element whose copy this is one more of; ``replicas`` is on how many elements the file
    is to stand (``None``: on as many as is usual); ``change`` is the last change that had waited for the element, by its id."""

    format: int = 1
    file_id: str
    path: str
    filename: str
    content_type: str
    size_bytes: int
    checksum: str
    storage_element_id: str
    created_at: datetime
    team_id: str
    owner: str
    retention: Retention
    revision: int
    tags: tuple[str, ...] = ()
    custom: Custom = msgspec.field(default_factory=dict)
    provenance: Provenance | None = None
    replica_of: str | None = None
    replicas: int | None = None
    change: str | None = None


# --- what may go wrong -----------------------------------------------------------------------------------------------------


class FileNotThere(NotFound):
    """The element has no such file."""

    code = "file_not_found"
    title = "No such file"


class ModeRefused(Conflict):
    """The element's mode does not allow it; the detail names the mode."""

    code = "mode_refused"
    title = "The storage element's mode does not allow it"


class ContentDiffers(Invalid):
    """The bytes are not those that were announced: another checksum or another length. Nothing of them stays."""

    code = "content_differs"
    title = "The content is not what was announced"


class AttributesTooLarge(Invalid):
    """Over :data:`ATTRIBUTES_BYTES` once written down."""

    code = "attributes_too_large"
    title = "The attributes are too large"


class OffsetDiffers(Conflict):
    """An upload goes on at another byte than the one that was sent; ``offset_bytes`` is where it stands."""

    code = "offset_differs"
    title = "The upload stands elsewhere"

    def __init__(self, *, offset_bytes: int) -> None:
        super().__init__(f"The upload stands at byte {offset_bytes}: go on from there.")
        self.offset_bytes = offset_bytes


class ElementFull(SamovarError):
    """No room for it there, and nothing of it stands there, nor will."""

    code = "storage_full"
    status = 507
    title = "The storage is full"


class ElementUnavailable(Unavailable):
    """The element is away, or refuses because a write failed to reach its disk."""

    code = "storage_unavailable"
    title = "The storage does not take part"

    def __init__(self, detail: str, *, flaws: Sequence[Flaw] = (), headers: Mapping[str, str] | None = None) -> None:
        # Another may take part, or this one in a moment: no answer leaves its caller without a word of when.
        super().__init__(detail, flaws=flaws, headers={"Retry-After": "5", **(headers or {})})


class DamagedFile(SamovarError):
    """The content or the attributes are not what they were when they were written."""

    code = "damaged_file"
    status = 500
    title = "The file is damaged"


# --- what an element says of itself ----------------------------------------------------------------------------------------


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How an element is. ``capacity_bytes`` and ``free_bytes`` are ``None`` where nobody can tell (a bucket without a
    quota); ``read_only_because`` says why it takes nothing although its mode allows it."""

    element_id: str
    mode: Mode
    capacity_bytes: int | None = None
    free_bytes: int | None = None
    read_only_because: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One thing met on a walk: attributes with their content, or one without the other.

    ``path`` is the content's. ``attributes`` is ``None`` for content that has none (an orphan) or whose attributes cannot be
    read (``fault`` says why); ``content_bytes`` is ``None`` where the content is missing.
    """

    path: str
    attributes: Attributes | None
    content_bytes: int | None
    modified_at: datetime
    fault: str | None = None


T = TypeVar("T")


class OpenContent(Protocol):
    """A content as an open file of this machine, of which the kernel can send a part. Whoever has it closes it, in every case."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...

    async def run(self, step: Callable[[], T]) -> T:
        """Run ``step``, which reads the descriptor, in a thread of the element. Cancelled, this waits for the step's end. What it
        raises as ``OSError`` is :class:`ElementUnavailable`; an ``EOFError``, for an end too soon, :class:`DamagedFile`."""
        ...

    async def read(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to, not including, ``end``. Raises :class:`DamagedFile` where the file ends before it."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class StorageElement(Protocol):
    """One place that keeps files. Every method raises :class:`ElementUnavailable`; those that change something
    :class:`ModeRefused` and :class:`ElementFull` too."""

    @property
    def element_id(self) -> str:
        """Its name, the same for ever."""
        ...

    async def start(self) -> None:
        """Take hold of the place, finish or undo what a crash left half, and serve. Before it everything but :meth:`close` raises
        :class:`ElementUnavailable`, and so does this where the place is away or another process has it."""
        ...

    async def close(self) -> None:
        """Let go of the place. Never started, or closed already: no error."""
        ...

    async def write(self, draft: Draft, content: AsyncIterator[bytes]) -> Attributes:
        """Take a whole file in; what ``content`` raises comes through as it is. When this returns, the file survives a power
        cut; when it raises (or is cancelled) before the commit point, nothing of it stays. The same draft again, once written,
        answers with what stands (a repeated step of a saga). Raises :class:`ContentDiffers`, :class:`AttributesTooLarge`,
        ``PathRefused``."""
        ...

    async def begin(self, draft: Draft) -> None:
        """Open an upload that arrives in pieces, named by the draft's ``file_id``. It survives restarts. The same once more is no
        error; raises ``Conflict`` where another is open under that id, or the file stands already."""
        ...

    async def append(
        self, file_id: str, *, offset_bytes: int, content: AsyncIterator[bytes], all_or_nothing: bool = False
    ) -> int:
        """Add to an open upload, and say where it stands now. What arrived before ``content`` broke off stays, unless it is to be
        ``all_or_nothing``. Raises :class:`OffsetDiffers`, :class:`FileNotThere`; :class:`ContentDiffers` for more than was
        announced, and then this piece of it is dropped."""
        ...

    async def offset(self, file_id: str) -> int:
        """The byte at which an open upload goes on. Raises :class:`FileNotThere`."""
        ...

    async def finish(self, file_id: str) -> Attributes:
        """Make an open upload a file: as the end of :meth:`write`. Once more, until it is acknowledged, it answers with what
        stands. Where it fails before the commit point the upload is open as before, but for :class:`ContentDiffers`: what is
        not what was announced is forgotten."""
        ...

    async def abandon(self, file_id: str) -> None:
        """Forget an open upload; one that is not there is no error."""
        ...

    async def acknowledge(self, rows: Sequence[tuple[str, int]]) -> None:
        """The rows of these files (file id and revision) stand: their intents are done, up to that revision. What was amended
        since is told."""
        ...

    def unacknowledged(self) -> AsyncIterator[Attributes]:
        """What was committed (written, finished, amended) and never acknowledged, oldest first: after a restart, and after a lost
        answer. What was committed a moment ago, and whose answer is still on its way, is among it: telling twice is no harm."""
        ...

    async def attributes(self, path: str) -> Attributes:
        """What stands beside the file. Served in every mode. Raises :class:`FileNotThere`, :class:`DamagedFile`."""
        ...

    async def amend(self, attributes: Attributes) -> Attributes:
        """Put new attributes in the place of those whose revision is one less, durably. The bytes, the path and the checksum
        never change. Raises :class:`samovar.kernel.errors.StaleRevision`."""
        ...

    def read(self, path: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to, not including, ``end``; behind the end of the file there are none. Raises
        :class:`FileNotThere`, :class:`DamagedFile` (attributes without content) and :class:`ModeRefused` at the first."""
        ...

    async def open_content(self, path: str) -> OpenContent | None:
        """The content as an open file. Raises as :meth:`read`. ``None`` of an element whose contents are no files of this
        machine: nothing was looked at."""
        ...

    def read_cold(self, path: str) -> AsyncGenerator[bytes, None]:
        """The whole content, for who copies it to where it is read: in every mode, ``ar`` too. Nobody is served from it.
        Raises as :meth:`read`."""
        ...

    async def delete(self, path: str) -> None:
        """Take file and attributes away, the attributes first; one that is not there is no error."""
        ...

    async def verify(self, path: str) -> str | None:
        """Read the whole content and compare: ``None`` when all is as written, else what is wrong."""
        ...

    async def quarantine(self, path: str, *, reason: str) -> None:
        """Set a damaged file aside, whole, where nobody is served from. Never deletes; ``edit``, ``rw`` and ``ro`` allow it.
        Raises :class:`FileNotThere`."""
        ...

    def walk(self, *, after: str = "") -> AsyncIterator[Found]:
        """Everything there, ordered by path, beyond ``after``. What is being written is not met."""
        ...

    async def condition(self) -> Condition:
        """How it is, asked of the place itself."""
        ...

    async def lower_mode(self, mode: Mode) -> None:
        """``rw`` to ``ro``, ``ro`` to ``ar``; kept over restarts. Raises :class:`ModeRefused` for every other step."""
        ...
