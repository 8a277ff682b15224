"""OpenTelemetry spans of gateway calls, with the GenAI conventions, made after the fact from the event of each call.

Imported only where an OTLP endpoint is configured: the SDK takes a tenth of a second and ten megabytes. Spans wait in a
bounded queue and leave in batches from a thread of their own; what does not fit is dropped, never waited for.
Conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from collections.abc import Iterator
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from samovar.domains.gateway.model import CallFinished, CallStatus
from samovar.kernel.ids import hex_of_ulid
from samovar.kernel.money import credits_text

_PATH: Final = "/v1/traces"
_QUEUE: Final = 8192
_BATCH: Final = 512
_EVERY_MS: Final = 2000
_TIMEOUT_S: Final = 10.0
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_OPERATION: Final = "chat"


class Traces:
    """Takes the event of each call. ``endpoint`` is the collector's base URL, or the URL of its traces."""

    def __init__(self, *, endpoint: str, version: str, every_ms: int = _EVERY_MS) -> None:
        url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
        self._resource = Resource.create({"service.name": "samovar", "service.version": version})
        self._scope = InstrumentationScope("samovar", version)
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(url, timeout=_TIMEOUT_S),
            max_queue_size=_QUEUE,
            max_export_batch_size=_BATCH,
            schedule_delay_millis=every_ms,
        )

    def record(self, event: CallFinished) -> None:
        """One span. Does not block."""
        own = hex_of_ulid(event.id.rpartition("_")[2])
        trace_id = int(event.trace_id or own, 16)
        parent = None
        if event.parent_span_id:
            parent = SpanContext(trace_id, int(event.parent_span_id, 16), is_remote=True, trace_flags=_SAMPLED)
        started_ns = int(event.started_at.timestamp() * 1_000_000) * 1000
        failed = event.status in (CallStatus.ERROR, CallStatus.BROKEN)
        self._processor.on_end(
            ReadableSpan(
                f"{_OPERATION} {event.model or event.requested_model[:200]}",
                context=SpanContext(trace_id, int(own[16:], 16), is_remote=False, trace_flags=_SAMPLED),
                parent=parent,
                resource=self._resource,
                attributes=dict(_attributes(event)),
                events=tuple(_attempts(event, started_ns)),
                kind=SpanKind.CLIENT,
                status=Status(StatusCode.ERROR, event.error_code) if failed else Status(StatusCode.UNSET),
                start_time=started_ns,
                end_time=started_ns + int(event.duration_ms * 1_000_000),
                instrumentation_scope=self._scope,
            )
        )

    def close(self) -> None:
        """Send what waits. Blocks for as long as the collector takes, at most its time limit: call it in a thread."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def _attributes(event: CallFinished) -> Iterator[tuple[str, AttributeValue]]:
    yield "gen_ai.operation.name", _OPERATION
    yield "gen_ai.request.model", event.requested_model[:200]
    yield "gen_ai.request.stream", event.stream
    yield "samovar.call.id", event.id
    yield "samovar.request.id", event.request_id
    yield "samovar.team.id", event.team_id
    yield "samovar.principal.id", event.principal_id
    yield "samovar.surface", event.surface
    yield "samovar.outcome", event.status.value
    yield "samovar.overhead_ms", event.overhead_ms
    yield "http.response.status_code", event.http_status
    if event.provider:
        yield "gen_ai.provider.name", event.vendor
        yield "gen_ai.response.model", event.model
        yield "samovar.provider", event.provider
    if event.first_content_ms is not None:
        yield "gen_ai.response.time_to_first_chunk", event.first_content_ms / 1000
    if event.usage is not None:
        yield "gen_ai.usage.input_tokens", event.usage.input_tokens
        yield "gen_ai.usage.output_tokens", event.usage.output_tokens
        yield "gen_ai.usage.cache_read.input_tokens", event.usage.cached_input_tokens
        yield "gen_ai.usage.cache_creation.input_tokens", event.usage.cache_write_tokens
    if event.cost_nano_usd is not None:
        yield "samovar.cost_credits", credits_text(event.cost_nano_usd)
    if event.stop is not None:
        yield "gen_ai.response.finish_reasons", (event.stop,)
    if event.prompt is not None:
        yield "samovar.prompt.id", event.prompt.id
        yield "samovar.prompt.version", event.prompt.version
        yield "samovar.prompt.revision", event.prompt.revision
    if event.error_code is not None:
        yield "error.type", event.error_code


def _attempts(event: CallFinished, started_ns: int) -> Iterator[Event]:
    """An event at the end of each attempt. When one began is not noted: they are taken to follow one another."""
    at_ns = started_ns
    for note in event.attempts:
        at_ns += int(note.took_ms * 1_000_000)
        attributes: dict[str, AttributeValue] = {
            "gen_ai.response.model": note.model,
            "samovar.provider": note.provider,
            "samovar.took_ms": note.took_ms,
        }
        if note.error is not None:
            attributes["error.type"] = note.error
        if note.status is not None:
            attributes["http.response.status_code"] = note.status
        yield Event("samovar.attempt", attributes, at_ns)
