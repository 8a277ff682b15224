"""From settings to the rules of access tokens, and how a request for one is counted."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from fastapi import Request

from samovar.app.rights import CALLER
from samovar.app.roles import Part, parts_of
from samovar.app.settings import NO_LIMIT, Settings
from samovar.domains.billing.service.quotas import QuotaService
from samovar.domains.identity.model import EVERY_AUDIENCE, Audience
from samovar.domains.identity.service import SecretRules, TokenRules
from samovar.kernel.principal import Principal
from samovar.ports.asgi import LIMITS
from samovar.ports.limits import Limit, parse_limits

_AUDIENCES_OF: Final[Mapping[Part, tuple[Audience, ...]]] = MappingProxyType(
    {
        Part.ADMIN: (Audience.ADMIN,),
        Part.GATEWAY: (Audience.GATEWAY,),
        Part.INGESTER: (Audience.INGESTER,),
        Part.QUERY: (Audience.QUERY,),
        Part.STORAGE: (Audience.STORAGE,),
    }
)


def token_rules(settings: Settings) -> TokenRules:
    """A process takes tokens for the roles that it has."""
    parts = parts_of(settings.roles)
    named = {name for part in parts for name in _AUDIENCES_OF.get(part, ())}
    return TokenRules(
        issuer=settings.token_issuer,
        ttl_s=settings.token_ttl_s,
        rotate_every_s=settings.signing_key_rotation_s,
        rotation_grace_s=settings.signing_key_grace_s,
        secrets=SecretRules(life_s=settings.service_secret_days * 86_400, grace_s=settings.service_secret_grace_s),
        audiences=tuple(name for name in EVERY_AUDIENCE if name in named),
    )


def wrong_credentials(settings: Settings) -> Limit | None:
    """The limit on wrong keys; none where :func:`sign_in_tries` says none."""
    if settings.credential_tries == NO_LIMIT or settings.only_local_callers:
        return None
    return parse_limits(settings.credential_tries)[0]


def sign_in_tries(settings: Settings) -> Limit | None:
    """The limit on wrong secrets; none where every caller is this machine's own, who would lock each other out."""
    if settings.sign_in_tries == NO_LIMIT or settings.only_local_callers:
        return None
    return parse_limits(settings.sign_in_tries)[0]


def admitted(quotas: QuotaService) -> Callable[[Request, Principal], Awaitable[None]]:
    """A request for a token is one of the account's requests, and stands in the audit chain as its own."""

    async def admit(request: Request, principal: Principal) -> None:
        request.scope[CALLER] = principal
        request.scope[LIMITS] = await quotas.admit_request(principal)

    return admit
