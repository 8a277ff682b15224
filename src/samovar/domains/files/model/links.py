"""Links that carry power: narrow, of limited time, and revocable. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

MIN_LINK_S: Final = 1
MAX_LINK_S: Final = 30 * 86_400
DEFAULT_LINK_S: Final = 3_600
MAX_LINK_CHARS: Final = 400


class Disposition(StrEnum):
    """Whether a browser saves a file or shows it (RFC 6266)."""

    ATTACHMENT = "attachment"
    INLINE = "inline"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Opens the content of one file, and nothing else, until it ends or is revoked."""

    id: str
    team_id: str
    file_id: str
    disposition: Disposition
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = None

    def opens(self, now: datetime) -> bool:
        """At its very end a link is over."""
        return self.revoked_at is None and now < self.expires_at


class LinkToken(msgspec.Struct, frozen=True, array_like=True):
    """What the sealed text of a link holds. Bound to its file when it is sealed."""

    team_id: str
    link_id: str
    expires_s: int
