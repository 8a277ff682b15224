"""A request's trace: its caller's, or its own."""

import pytest

from samovar.kernel.tracing import TRACE, trace_of, traced

OWN = "0123456789abcdef0123456789abcdef"
GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_request_goes_on_with_the_trace_it_came_with_under_a_span_of_its_own() -> None:
    trace = trace_of("req_1", traceparent=f"00-{GIVEN}-00f067aa0ba902b7-01".encode(), own=OWN)
    assert trace.traceparent == f"00-{GIVEN}-{OWN[16:]}-01"


@pytest.mark.parametrize(
    "given",
    [None, b"", b"00", f"00-{'0' * 32}-00f067aa0ba902b7-01".encode(), f"00-{GIVEN}-{'0' * 16}-01".encode(), b"\xff"],
)
def test_what_is_no_trace_begins_one(given: bytes | None) -> None:
    assert trace_of("req_1", traceparent=given, own=OWN).trace_id == OWN


def test_the_running_task_knows_its_request() -> None:
    headers = [(b"traceparent", f"00-{GIVEN}-00f067aa0ba902b7-01".encode())]
    trace = traced("req_1", headers, own="span_01M7ZA9DH7GM4CCGJ1DJ2VCMFD")
    assert TRACE.get() == trace
    assert (trace.request_id, trace.trace_id, len(trace.span_id)) == ("req_1", GIVEN, 16)
    TRACE.set(None)
