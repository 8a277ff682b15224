"""The dependency that tells every control-plane route who is asking."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request

from samovar.domains.identity.errors import NoCredential
from samovar.domains.identity.model import MAX_TOKEN_CHARS
from samovar.domains.identity.service import IdentityService
from samovar.kernel.principal import Principal
from samovar.ports.asgi import SIGNED_IN

Authenticate = Callable[[Request], Awaitable[Principal]]

_MAX_CREDENTIAL_CHARS: Final = MAX_TOKEN_CHARS + 1


def authenticated(service: IdentityService) -> Authenticate:
    """A dependency: the principal of ``X-Admin-Token``, or else of ``Authorization: Bearer`` (a key, a service
    account's token or the admin token).

    It raises ``NoCredential`` and whatever ``service.authenticate`` raises. The address for the limit on wrong
    credentials is the connection's; behind trusted proxies the app's middleware has put the client's there.
    """

    async def authenticate(request: Request) -> Principal:
        address = None if request.client is None else request.client.host
        admin_token = request.headers.get("x-admin-token")
        if admin_token is not None:
            principal = await service.authenticate_admin(admin_token[:_MAX_CREDENTIAL_CHARS], address=address)
            request.scope[SIGNED_IN] = True
            return principal
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()[:_MAX_CREDENTIAL_CHARS]
        if scheme.lower() != "bearer" or not secret:
            raise NoCredential(
                "Send a key as 'Authorization: Bearer sk-samovar-…', or the admin token as 'X-Admin-Token'."
            )
        principal = service.recall(secret) or await service.authenticate(secret, address=address)
        request.scope[SIGNED_IN] = True
        return principal

    return authenticate
