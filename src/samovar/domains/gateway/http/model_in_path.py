"""Gemini's surface: the model and what is asked of it stand in the path, and the form of a stream in the query."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

from samovar.domains.gateway.http.entrance import Address, ChatEntrance
from samovar.domains.gateway.http.listings import GEMINI_ROOTS
from samovar.kernel.errors import NotFound
from samovar.ports.asgi import REQUEST_ID, Receive, Scope, Send

PREFIX: Final = f"{GEMINI_ROOTS[0]}/"
_WHOLE: Final = "generateContent"
_STREAM: Final = "streamGenerateContent"


class ModelInPath:
    """An :class:`~samovar.ports.asgi.Endpoint` for ``{PREFIX}{model}:{action}``. A stream is events where ``alt=sse`` asks
    for them, else one JSON array, as Google's API has it. ``figures`` are the entrances of the other actions."""

    def __init__(self, *, events: ChatEntrance, array: ChatEntrance, figures: Mapping[str, ChatEntrance]) -> None:
        self._events = events
        self._array = array
        self._whole = {_WHOLE: events, **figures}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        model, _, action = scope["path"].partition("/models/")[2].rpartition(":")
        if action in self._whole and model:
            return await self._whole[action].serve(scope, receive, send, Address(unquote(model), stream=False))
        if action == _STREAM and model:
            form = parse_qs(scope["query_string"].decode("latin-1")).get("alt", [""])[-1]
            entrance = self._events if form == "sse" else self._array
            return await entrance.serve(scope, receive, send, Address(unquote(model), stream=True))
        actions = ", ".join(f":{name}" for name in (*self._whole, _STREAM))
        error = NotFound(f"there is no {action or 'action'!r} here; ask for {PREFIX}<model> and one of {actions}")
        return await self._events.refuse(error, scope.get(REQUEST_ID, ""), send)
