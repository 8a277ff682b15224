"""Building a database anew in one transaction: for restoring, which may begin at an older revision than today's."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from samovar.ports.database import Tx


class Rebuild(Protocol):
    """A database under reconstruction. Nothing of it is seen by others before the end."""

    @property
    def tx(self) -> Tx:
        """The transaction. It holds the migration lock."""
        ...

    @property
    def newest(self) -> str:
        """The revision that this version of Samovar wants."""
        ...

    async def upgrade(self, revision: str) -> None:
        """Apply all revisions up to this one. Raises ``MigrationFailed``."""
        ...


class Rebuilder(Protocol):
    """Opens a :class:`Rebuild`: it commits when the block ends, and leaves no trace when the block raises."""

    def __call__(self) -> AbstractAsyncContextManager[Rebuild]: ...
