"""A usage event as a row."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from samovar.domains.gateway.model import CallFinished
from samovar.domains.usage.model.users import Labels, labelled
from samovar.ports.llm import Usage

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TOKENS: Final = 10**12
_MAX_NANO_USD: Final = 10**14
_NO_PROMPT: Final = (None, None, None)
_json = msgspec.json.Encoder()


class UsageRow(NamedTuple):
    """The columns of ``usage_events`` in their order. ``started_at`` is microseconds since 1970."""

    id: str
    team_id: str
    started_at: int
    principal_id: str
    principal_kind: str
    request_id: str
    surface: str
    requested_model: str
    model: str
    provider: str
    vendor: str
    native: bool
    stream: bool
    status: str
    http_status: int
    error_code: str | None
    stop: str | None
    duration_ms: float
    first_content_ms: float | None
    overhead_ms: float
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage: str | None
    usage_estimated: bool
    cost_nano_usd: int | None
    price_source: str | None
    attempts: str
    trace_id: str
    project_id: str
    user_id: str
    user_overflows: bool
    strategy: str
    answered_model: str
    prompt_id: int | None
    prompt_version: int | None
    prompt_revision: int | None


def row_of(event: CallFinished, labels: Labels) -> UsageRow:
    """The row of one event. What a caller wrote is cut to its column's width: a long model name is no reason to lose
    the event."""
    usage, prompt = event.usage, event.prompt
    span = event.started_at - _EPOCH
    started_at = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    user_id, user_overflows = event.user_id, False
    if event.user_label and not user_id:
        # What a key says of itself is known; what its holder says is a label.
        user_id = labelled(event.user_label)
        user_overflows = labels.overflows(event.team_id, user_id, started_at)
    # Past its constructor, a function of as many arguments, which takes three times as long.
    return tuple.__new__(
        UsageRow,
        (
            event.id,
            event.team_id,
            started_at,
            event.principal_id,
            event.principal_kind,
            event.request_id[:128],
            event.surface,
            _column_text(event.requested_model, 255),
            _column_text(event.model, 320),
            event.provider,
            event.vendor,
            event.native,
            event.stream,
            str(event.status),
            event.http_status,
            event.error_code,
            event.stop,
            event.duration_ms,
            event.first_content_ms,
            event.overhead_ms,
            *_tokens(usage),
            usage.estimated if usage else False,
            None if event.cost_nano_usd is None else _bounded(event.cost_nano_usd, _MAX_NANO_USD),
            event.price_source,
            _json.encode(event.attempts).decode(),
            event.trace_id,
            event.project_id,
            user_id,
            user_overflows,
            event.strategy,
            _column_text(event.answered_model, 255) if event.answered_model else "",
            *(_NO_PROMPT if prompt is None else (prompt.id, prompt.version, prompt.revision)),
        ),
    )


def _tokens(usage: Usage | None) -> tuple[int | None, int | None, int | None, int | None, int | None, str | None]:
    if usage is None:
        return (None, None, None, None, None, None)
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
    if min(counts) < 0 or max(counts) > _MAX_TOKENS:
        counts = tuple([_bounded(count, _MAX_TOKENS) for count in counts])  # type: ignore[assignment]  # as many as there were
    return (*counts, _json.encode(usage).decode())


def _bounded(number: int, most: int) -> int:
    # Providers say what they like; the sums of many such numbers must still fit into 64 bits. `usage` keeps their words.
    return number if 0 <= number <= most else min(max(number, 0), most)


def _column_text(text: str, chars: int) -> str:
    # PostgreSQL's text holds no NUL, and a caller may well send one.
    return text[:chars].replace("\x00", "\ufffd")
