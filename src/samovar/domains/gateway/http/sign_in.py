"""Who calls a vendor-compatible surface."""

from samovar.domains.billing.service.quotas import Addresses
from samovar.domains.gateway.http.envelope import Envelope
from samovar.domains.identity.model import OpenSurface, Permission, require
from samovar.domains.identity.service import IdentityService
from samovar.kernel.errors import Unauthenticated
from samovar.kernel.principal import Principal
from samovar.ports.asgi import REFUSAL, SIGNED_IN, Scope


def recalled(
    envelope: Envelope, scope: Scope, identity: IdentityService, needs: Permission = Permission.GATEWAY_CALL
) -> Principal | None:
    """The principal, where this process knows the key; ``None`` means: :func:`signed_in`. Never waits. Raises ``Forbidden`` for
    one without the permission."""
    if REFUSAL in scope or not envelope.secret:
        return None
    principal = identity.recall(envelope.secret)
    if principal is not None:
        scope[SIGNED_IN] = True
        require(principal, needs)
    return principal


async def signed_in(
    envelope: Envelope,
    scope: Scope,
    identity: IdentityService,
    *,
    addresses: Addresses | None = None,
    needs: Permission = Permission.GATEWAY_CALL,
    surface: OpenSurface | None = None,
) -> Principal:
    """The principal behind the key, or without one the visitor of ``surface`` where that is open. Raises ``Unauthenticated``
    with the challenge of RFC 9110 (section 11.6.1), ``Forbidden`` for one without the permission, ``RateLimited`` where an
    address sends too many without a key, and what the edge says of an address that is shut out."""
    if REFUSAL in scope:
        raise scope[REFUSAL]
    if not envelope.secret:
        if addresses is not None and scope.get("client"):
            await addresses.admit_anonymous(scope["client"][0])
        visitor = None if surface is None else identity.visitor(surface)
        if visitor is not None:
            return visitor
        raise Unauthenticated(
            "send a key as `Authorization: Bearer sk-samovar-...` (or in the header your SDK uses)",
            headers={"WWW-Authenticate": 'Bearer realm="samovar"'},
        )
    client = scope.get("client")
    principal = await identity.authenticate(envelope.secret, address=client[0] if client else None)
    scope[SIGNED_IN] = True
    require(principal, needs)
    return principal
