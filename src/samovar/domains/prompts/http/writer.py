"""Who may write: signed in, within the limit on writes, and with a nonce where one is asked for or sent."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request

from samovar.domains.prompts.service import WriteGate
from samovar.kernel.principal import Principal
from samovar.ports.asgi import LIMITS

Authenticate = Callable[[Request], Awaitable[Principal]]
Nonce = Annotated[
    str | None,
    Header(
        max_length=128,
        description="A word that no other write has (a random one): sent again, it is refused with 409. Remembered for 300 s, or"
        " as long as `X-Timestamp` is taken. Needed only where `SAMOVAR_NONCE_REQUIRED` is set.",
    ),
]
Timestamp = Annotated[
    str | None,
    Header(
        max_length=13,
        description="When the write was made, in seconds or milliseconds since 1970: at most 300 s behind and 60 s ahead of the"
        " server's clock, or it is refused with 409.",
    ),
]


def writing(authenticate: Authenticate, gate: WriteGate) -> Callable[..., Awaitable[Principal]]:
    """A dependency: the principal of a write that was let in. What there is to tell of its limit is left in the scope."""

    async def admitted(
        request: Request,
        principal: Annotated[Principal, Depends(authenticate)],
        x_nonce: Nonce = None,
        x_timestamp: Timestamp = None,
    ) -> Principal:
        told = await gate.admit(principal, nonce=x_nonce, timestamp=x_timestamp)
        if told:
            request.scope[LIMITS] = told
        return principal

    return admitted
