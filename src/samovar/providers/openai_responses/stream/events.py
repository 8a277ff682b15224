"""The events of a response stream, as far as a reader looks at them."""

from typing import Final

import msgspec
from msgspec import Raw

from samovar.providers.openai_responses.wire import ABSENT, Ending, ErrorWire, said


class ItemStart(msgspec.Struct):
    """What an ``output_item`` event says of an item, as far as the core holds it."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    phase: str | None = None
    namespace: str | None = None
    caller: Raw = ABSENT


class EventWire(msgspec.Struct):
    """All the events in one: ``type`` says which fields count. Only events of items that stay opaque have a ``delta``
    that is no text."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    response: Ending | None = None
    item: Raw = ABSENT
    part: Raw = ABSENT
    delta: str | dict[str, Raw] | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    annotation: Raw = ABSENT
    error: ErrorWire | None = None
    code: str | int | None = None
    message: str | None = None
    param: str | None = None

    def failure(self) -> ErrorWire:
        """What an ``error`` event tells: nested (as the API sends it) or flat (as its types have it)."""
        return self.error or ErrorWire(message=self.message, code=self.code, param=self.param)


class OpenPart:
    """A part that is open at ``index``. ``said`` is whether any of it has come."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.said = False


class OpenItem:
    """An output item that is growing, with its open parts by content index."""

    def __init__(self, start: ItemStart) -> None:
        self.start = start
        self.open: dict[int, OpenPart] = {}
        self.seen: set[int] = set()
        # Where the last thinking came from: a blank line stands between two parts of a summary.
        self.thought: tuple[str, int] | None = None
        plain = start.namespace is None and (not said(start.caller) or b'"direct"' in bytes(start.caller))
        self.opaque = start.type not in ("message", "reasoning") and not (start.type == "function_call" and plain)


EVENTS: Final = msgspec.json.Decoder(EventWire)
STARTS: Final = msgspec.json.Decoder(ItemStart)
