"""What hangs on a gateway key's id and is billing's: it goes on to the key that takes its place."""

from contextlib import suppress
from dataclasses import replace

from samovar.domains.billing.model.quotas import Subject
from samovar.domains.billing.model.wallets import OwnerKind
from samovar.domains.billing.service.quotas import QUOTAS_CHANGED
from samovar.domains.billing.store import quotas, wallets
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Tx
from samovar.ports.events import Bus


class Succession:
    """Part of a key's rotation: see :class:`samovar.domains.identity.service.keys.Succession`, which it meets."""

    def __init__(self, *, clock: Clock, ids: Ids, bus: Bus) -> None:
        self._clock = clock
        self._ids = ids
        self._bus = bus

    async def succeed(self, tx: Tx, team_id: str, key_id: str, by: str) -> str | None:
        """The key's own quota holds for ``by``, too, each of them by itself as long as both are good. The id of the wallet that
        the key owns; ``None`` where it owns none."""
        quota = await quotas.of_subject(tx, team_id, Subject.KEY, key_id)
        if quota is not None:
            now = self._clock.now()
            its = replace(quota, id=self._ids.new("quota"), subject_id=by, revision=1, updated_at=now)
            await quotas.add(tx, its)
        return await wallets.owned_by(tx, team_id, OwnerKind.KEY, key_id)

    async def succeeded(self) -> None:
        """It is committed: tell all processes."""
        with suppress(Unavailable):
            # They find it within ten seconds.
            await self._bus.publish(QUOTAS_CHANGED, b"")
