"""Spans as a collector receives them, over real OTLP/HTTP."""

import asyncio
import gzip
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from samovar.app.telemetry.traces import Traces
from samovar.domains.gateway.model import AttemptNote, CallStatus
from samovar.kernel.ids import hex_of_ulid, ulid
from tests.app.conftest import ADMIN, Serve
from tests.app.telemetry.test_metrics import EVENT
from tests.support.sockets import silent_server

CALL = f"call_{ulid(1_795_000_000_000, 2**70 + 12345)}"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """An OTLP/HTTP receiver."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.resources: list[dict[str, Any]] = []
        self.spans: list[Span] = []
        self.heard = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = re.search(r"content-length: (\d+)", head)
                assert length is not None
                body = await reader.readexactly(int(length[1]))
                if "content-encoding: gzip" in head:
                    body = gzip.decompress(body)
                self._note(head.split()[1], ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: %d\r\n\r\n%s"
                    % (len(answer), answer)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _note(self, path: str, request: ExportTraceServiceRequest) -> None:
        self.paths.append(path)
        for group in request.resource_spans:
            self.resources.append({pair.key: pair.value.string_value for pair in group.resource.attributes})
            for scope in group.scope_spans:
                self.spans.extend(scope.spans)
        self.heard.set()


@asynccontextmanager
async def _collector() -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector.take, "127.0.0.1", 0)
    collector.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield collector
    finally:
        server.close()


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


async def _exported(*events: Any) -> Collector:
    async with _collector() as collector:
        traces = Traces(endpoint=collector.url, version="1.2.3")
        for event in events:
            traces.record(event)
        await asyncio.to_thread(traces.close)
    return collector


async def test_a_call_is_a_span_with_the_genai_conventions() -> None:
    collector = await _exported(msgspec.structs.replace(EVENT, id=CALL, trace_id=TRACE, parent_span_id=PARENT))
    assert collector.paths == ["/v1/traces"]
    assert collector.resources[0]["service.name"] == "samovar"
    assert collector.resources[0]["service.version"] == "1.2.3"
    [span] = collector.spans
    assert span.name == "chat openai/gpt-5-mini"
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.span_id.hex() == hex_of_ulid(CALL[5:])[16:]
    started = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp()) * 10**9
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (started, started + 1_500_000_000)
    found = _attributes(span.attributes)
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.request.model"] == "gpt-5-mini"
    assert found["gen_ai.response.model"] == "openai/gpt-5-mini"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (100, 20)
    assert found["gen_ai.response.finish_reasons"].values[0].string_value == "end"
    assert found["samovar.cost_credits"] == "1.5"
    assert span.status.code == 0


async def test_a_call_without_a_parent_is_the_root_of_its_own_trace() -> None:
    collector = await _exported(msgspec.structs.replace(EVENT, id=CALL))
    [span] = collector.spans
    assert span.trace_id.hex() == hex_of_ulid(CALL[5:])
    assert span.parent_span_id == b""


async def test_a_failed_call_says_why_and_what_was_tried() -> None:
    notes = (
        AttemptNote("openai/a", "openai", 100.0, "upstream_error", 500),
        AttemptNote("xai/b", "xai", 50.0, "upstream_timeout"),
    )
    event = msgspec.structs.replace(
        EVENT, id=CALL, status=CallStatus.ERROR, error_code="upstream_timeout", attempts=notes, usage=None
    )
    [span] = (await _exported(event)).spans
    assert span.status.code == 2
    assert _attributes(span.attributes)["error.type"] == "upstream_timeout"
    first, second = span.events
    assert first.name == "samovar.attempt"
    assert _attributes(first.attributes)["http.response.status_code"] == 500
    assert _attributes(second.attributes)["gen_ai.response.model"] == "xai/b"
    assert second.time_unix_nano - span.start_time_unix_nano == 150_000_000


async def test_a_collector_that_never_answers_costs_no_call() -> None:
    async with silent_server() as port:
        traces = Traces(endpoint=f"http://127.0.0.1:{port}", version="1", every_ms=60_000)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(100):
            traces.record(msgspec.structs.replace(EVENT, id=CALL))
        # Whoever waited for the collector would wait for its time limit, 10 s.
        assert loop.time() - started < 5


async def test_a_real_call_joins_the_callers_trace_and_names_itself(serve: Serve) -> None:
    async with _collector() as collector:
        served = await serve(otlp_endpoint=collector.url)
        answer = await served.ask(
            "POST",
            "/v1/chat/completions",
            body=b'{"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}',
            headers={"Authorization": f"Bearer {ADMIN['X-Admin-Token']}", "traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
        assert answer.status == 200, answer
        async with asyncio.timeout(10):
            await collector.heard.wait()
    [span] = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert answer.headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert _attributes(span.attributes)["samovar.call.id"] == answer.headers["x-samovar-call-id"]


async def test_a_broken_traceparent_is_no_parent(serve: Serve) -> None:
    served = await serve()
    for given in (
        "",
        "00-zz",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        "x" * 9000,
    ):
        answer = await served.ask(
            "POST",
            "/v1/messages",
            body=b'{"model": "sandbox/echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}',
            headers={"x-api-key": ADMIN["X-Admin-Token"], "traceparent": given},
        )
        assert answer.status == 200, answer
        own = hex_of_ulid(answer.headers["x-samovar-call-id"][5:])
        assert answer.headers["traceparent"] == f"00-{own}-{own[16:]}-01"


def test_neither_sdk_nor_exporter_is_loaded_where_no_collector_is_named() -> None:
    program = """
import sys
from samovar.app.application import edge_of
from samovar.app.services import Services
from samovar.app.settings import Settings
edge_of(Services(Settings(_env_file=None)))
heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf", "requests")
print([name for name in sys.modules if name.startswith(heavy)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stderr
