"""What the real SDK makes of a stream."""

import httpx2
import msgspec
from anthropic.lib.streaming._beta_messages import accumulate_event
from anthropic.types.beta import BetaMessage

from samovar.kernel.sse import SseParser


def as_sdk_message(stream: bytes) -> BetaMessage:
    """What the real SDK makes of a stream: its own types, its own accumulation."""
    parser = SseParser()
    snapshot = None
    buffers: dict[int, bytes] = {}
    for event in [*parser.feed(stream), *parser.end()]:
        if event.event == "ping":
            continue
        fields = msgspec.json.decode(event.data)
        assert fields["type"] == event.event, "the SDK goes by the event's name"
        snapshot = accumulate_event(
            event=fields, current_snapshot=snapshot, json_bufs=buffers, request_headers=httpx2.Headers()
        )
    assert snapshot is not None
    return snapshot
