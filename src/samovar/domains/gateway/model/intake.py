"""Requests that are more than JSON in a vendor's shape: a form, a picture to be prepared, a prompt to be looked up."""

from typing import NamedTuple, Protocol

from samovar.domains.gateway.model.call import PromptUse
from samovar.kernel.principal import Principal
from samovar.ports.asgi import Receive, Scope
from samovar.ports.dialect import Surface


class Prepared(NamedTuple):
    """What the gateway is asked: ``body`` as ``surface`` reads it, answered as ``surface`` writes it. ``prompt`` is the
    one of the registry that stands in it; ``is_slow`` as of a :class:`~samovar.domains.gateway.model.Call`."""

    surface: Surface
    body: bytes
    prompt: PromptUse | None = None
    is_slow: bool = False


class Taken(Protocol):
    """A request that was read, and on which no work was spent yet."""

    @property
    def mark(self) -> bytes:
        """What tells it from another request with the same ``Idempotency-Key``."""
        ...

    async def prepared(self, principal: Principal) -> Prepared:
        """The work. Raises a ``SamovarError``."""
        ...


class Intake(Protocol):
    """How a surface takes its requests."""

    async def take(self, scope: Scope, receive: Receive, *, declared: bytes | None) -> Taken:
        """Read a request within its bounds. ``declared`` is the ``Content-Length`` header. Raises as
        :func:`samovar.ports.asgi.read_body`, and for what cannot be read."""
        ...
