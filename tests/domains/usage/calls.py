"""Events of calls, as the gateway tells them."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from samovar.domains.gateway.model import AttemptNote, CallFinished, CallStatus
from samovar.ports.llm import Usage

EVENT = CallFinished(
    id="call_0",
    request_id="req_0",
    team_id="team_default",
    principal_id="key_1",
    principal_kind="key",
    surface="openai-chat",
    requested_model="echo",
    model="sandbox/echo",
    provider="sandbox",
    vendor="sandbox",
    native=True,
    stream=False,
    status=CallStatus.OK,
    http_status=200,
    error_code=None,
    started_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    duration_ms=12.5,
    first_content_ms=None,
    overhead_ms=0.5,
    usage=Usage(input_tokens=3, output_tokens=5, estimated=True),
    cost_nano_usd=1234,
    price_source="test",
    stop="end",
    attempts=(AttemptNote("sandbox/echo", "sandbox", 12.0),),
    trace_id="0" * 32,
    parent_span_id="",
)


def event(number: int, **changes: Any) -> CallFinished:
    """The event with a number of its own, and with these changes."""
    return msgspec.structs.replace(EVENT, id=f"call_{number}", **changes)
