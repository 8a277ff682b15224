"""An application built once for many tests: to build its routes costs more than most tests do."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

App = Callable[[Any, Any, Any], Awaitable[None]]


class Rebound:
    """Stands where routes want a service, and is the one that was given for the request."""

    def __init__(self) -> None:
        self._now: ContextVar[object] = ContextVar("now")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now.get(), name)

    def to(self, service: object, app: App) -> App:
        """The application, over this service."""

        async def bound(scope: Any, receive: Any, send: Any) -> None:
            token = self._now.set(service)
            try:
                await app(scope, receive, send)
            finally:
                self._now.reset(token)

        return bound
