"""Uploads that arrive in pieces, and go on after whatever broke them off. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

CHECKSUMS: Final = ("sha1", "sha256")
"""What a piece may be checked by."""
MAX_SAID_CHARS: Final = 8192
"""Of what a sender says of a file, as it was sent."""


class UploadState(StrEnum):
    """``ENDING`` is an upload that was given up and whose bytes may still be there."""

    OPEN = "open"
    FINISHED = "finished"
    ENDING = "ending"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One of them; its file will have the same id. ``length_bytes`` is ``None`` while the sender has not said it; ``hold_id``
    is the owner's room that it holds, ``said`` what the sender said of the file, word for word."""

    file_id: str
    team_id: str
    owner: str
    element_id: str
    length_bytes: int | None
    hold_id: str | None
    said: str
    state: UploadState
    created_at: datetime
    expires_at: datetime


class UploadStands(NamedTuple):
    """Where an upload stands: ``offset_bytes`` of it are durable."""

    upload: Upload
    offset_bytes: int

    @property
    def is_finished(self) -> bool:
        """Whether it is a file now."""
        return self.upload.state is UploadState.FINISHED


class UploadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An upload as the API shows it. ``length_bytes`` is ``null`` while nobody said it."""

    file_id: str
    state: UploadState
    offset_bytes: int
    length_bytes: int | None
    created_at: datetime
    expires_at: datetime


class PieceChecksum(NamedTuple):
    """What the bytes of one piece must come to: one of :data:`CHECKSUMS`, and the digest."""

    algorithm: str
    digest: bytes


def told_upload(stands: UploadStands) -> UploadAnswer:
    """As the API shows it."""
    upload = stands.upload
    return UploadAnswer(
        file_id=upload.file_id,
        state=upload.state,
        offset_bytes=stands.offset_bytes,
        length_bytes=upload.length_bytes,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )
