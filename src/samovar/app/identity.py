"""Who calls: the object graph of keys, accounts and tokens."""

from typing import TYPE_CHECKING

from samovar.app.tokens import sign_in_tries, token_rules, wrong_credentials
from samovar.domains.billing.service import Succession
from samovar.domains.identity.service import IdentityService

if TYPE_CHECKING:
    from samovar.app.services import Services


class _Wallets:
    """Billing's, asked for when a key is made: most processes never need them."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    async def exists(self, team_id: str, wallet_id: str) -> bool:
        return await self._services.desk.wallets.exists(team_id, wallet_id)

    async def of_key(self, team_id: str, key_id: str) -> str | None:
        return await self._services.desk.wallets.of_key(team_id, key_id)


def identity_service(services: "Services") -> IdentityService:
    """What knows the callers of this process."""
    settings, clock, ids, bus = services.settings, services.clock, services.ids, services.shared.bus
    return IdentityService(
        database=services.database,
        clock=clock,
        ids=ids,
        bus=bus,
        box=services.box,
        succession=Succession(clock=clock, ids=ids, bus=bus),
        wallets=_Wallets(services),
        limiter=services.shared.limiter,
        wrong_limit=wrong_credentials(settings),
        opened=settings.opened,
        tokens=token_rules(settings),
        sign_in_tries=sign_in_tries(settings),
        on_signing_key=services.audit.signing_key_made,
    )
