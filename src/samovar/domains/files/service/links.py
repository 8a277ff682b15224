"""Links that open one file, for a while, to whoever holds them.

What stands in the address is sealed under the installation's master key and bound to its file: it cannot be made up, moved to
another file, or made to last. Each is looked up at every use, so that a revoked one opens nothing from that moment.
"""

import base64
import binascii
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec

from samovar.domains.files.errors import BadFile, LinkRefused, LinkUnknown
from samovar.domains.files.model.links import MAX_LINK_CHARS, MAX_LINK_S, MIN_LINK_S, Disposition, Link, LinkToken
from samovar.domains.files.model.records import StoredFile, may_change
from samovar.domains.files.service.query import FileReads
from samovar.domains.files.store import links as store
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Flaw, Forbidden
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.secrets import SealBroken, SecretBox

_SHOWN: Final = 100


class MadeLink(NamedTuple):
    """A link, and the text that opens it: the only time it can be read."""

    link: Link
    token: str


class FileLinks:
    """Each raises ``Forbidden`` and ``FileUnknown``."""

    def __init__(self, *, database: Database, reads: FileReads, box: SecretBox, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._reads = reads
        self._box = box
        self._clock = clock
        self._ids = ids

    async def make(self, principal: Principal, file_id: str, *, ttl_s: int, disposition: Disposition) -> MadeLink:
        """A new one, that ends in ``ttl_s``. Raises ``BadFile``."""
        if not MIN_LINK_S <= ttl_s <= MAX_LINK_S:
            raise BadFile([Flaw("ttl_s", f"is from {MIN_LINK_S} to {MAX_LINK_S}")])
        file = await self._mine(principal, file_id)
        now = self._clock.now()
        link = Link(
            id=self._ids.new("link"),
            team_id=file.attributes.team_id,
            file_id=file.attributes.file_id,
            disposition=disposition,
            created_at=now,
            created_by=principal.id,
            expires_at=now + timedelta(seconds=ttl_s),
        )
        async with self._database.transaction() as tx:
            await store.add(tx, link)
        token = LinkToken(link.team_id, link.id, int(link.expires_at.timestamp()))
        sealed = self._box.seal(msgspec.msgpack.encode(token), bound_to=_bound_to(link.file_id))
        return MadeLink(link, base64.urlsafe_b64encode(sealed).decode().rstrip("="))

    async def of_file(self, principal: Principal, file_id: str) -> list[Link]:
        """The newest hundred of a file, those that are over included."""
        require(principal, Permission.FILES_READ)
        file = await self._reads.fresh(principal, file_id)
        async with self._database.reading() as tx:
            return await store.of_file(tx, principal.team_id, file.attributes.file_id, limit=_SHOWN)

    async def revoke(self, principal: Principal, file_id: str, link_id: str) -> None:
        """It opens nothing from now on. Raises :class:`LinkUnknown`."""
        file = await self._mine(principal, file_id)
        async with self._database.transaction() as tx:
            was_there = await store.revoke(
                tx, principal.team_id, file.attributes.file_id, link_id, at=self._clock.now()
            )
        if not was_there:
            raise LinkUnknown(f"The file has no link {link_id[:40]!r}.")

    def read(self, file_id: str, token: str) -> LinkToken:
        """What the text of a link says, without asking anybody. Raises :class:`LinkRefused` for one that is not ours, or that
        is over."""
        found = self._read(file_id, token)
        if self._clock.now().timestamp() >= found.expires_s:
            raise LinkRefused("The link is over. Ask for a new one.")
        return found

    async def opened(self, file_id: str, found: LinkToken) -> tuple[StoredFile, Link]:
        """What a link opens. Raises :class:`LinkRefused`."""
        async with self._database.reading() as tx:
            link = await store.one(tx, found.team_id, found.link_id)
        if link is None or link.file_id != file_id or not link.opens(self._clock.now()):
            raise LinkRefused("The link is over, or was revoked. Ask for a new one.")
        file = await self._reads.stored(found.team_id, file_id)
        if file is None:
            raise LinkRefused("The file that the link opened is not there any more.")
        return file, link

    async def _mine(self, principal: Principal, file_id: str) -> StoredFile:
        # A link opens the file to anybody: that is for those who may change it, not for all who may read it.
        require(principal, Permission.FILES_WRITE)
        file = await self._reads.fresh(principal, file_id)
        if not may_change(principal, file.attributes.owner):
            raise Forbidden("This file is somebody else's: its links are not yours to make or revoke.")
        return file

    def _read(self, file_id: str, token: str) -> LinkToken:
        if len(token) <= MAX_LINK_CHARS and token.isascii():
            try:
                sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
                return msgspec.msgpack.decode(self._box.open(sealed, bound_to=_bound_to(file_id)), type=LinkToken)
            except (binascii.Error, ValueError, SealBroken, msgspec.MsgspecError):
                pass
        raise LinkRefused("This is no link to this file.")


def _bound_to(file_id: str) -> str:
    return f"file_links:{file_id}"
