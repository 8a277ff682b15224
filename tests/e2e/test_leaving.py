"""Callers that leave: the provider stops working for them, and the call is accounted for."""

import http.client
import json
import os
import uuid
from urllib.parse import urlsplit

import pytest

from tests.e2e.calling import STREAMS, WAYS, Way, body_of, call, event_of, fresh, stats, until
from tests.e2e.conftest import Running, Samovar

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def leave(samovar: Samovar, sandbox: Running, way: Way, text: str, *, after_words: int) -> str:
    """Begin a call and leave: after so many reads, or, with none, once the provider has the request."""
    request_id = uuid.uuid4().hex
    before = stats(sandbox)
    place = urlsplit(samovar.url)
    link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    headers = {"Authorization": f"Bearer {samovar.key}", "X-Request-Id": request_id}
    link.request("POST", PATHS[way.surface], json.dumps(body_of(way, text, fresh(way.vendor))), headers)
    if after_words:
        answer = link.getresponse()
        got = b""
        while got.count(b"data:") < after_words:
            got += answer.read1(100)
        answer.close()
    else:
        assert until(lambda: stats(sandbox)["in_flight"] > before["in_flight"])
    link.close()
    assert until(lambda: stats(sandbox)["cancelled"] + stats(sandbox)["cut"] > before["cancelled"] + before["cut"])
    assert until(lambda: stats(sandbox)["in_flight"] <= before["in_flight"])
    return request_id


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_leaving_before_the_first_content_cancels_the_provider(samovar: Samovar, sandbox: Running, way: Way) -> None:
    event = event_of(samovar, leave(samovar, sandbox, way, "[[fault:hang]] a long question", after_words=0))
    assert (event["status"], event["http_status"], event["error_code"]) == ("cancelled", 499, "client_gone")
    assert event["usage_estimated"] == 1
    assert event["input_tokens"] > 0
    assert event["output_tokens"] == 0


@pytest.mark.parametrize("way", STREAMS, ids=str)
def test_leaving_in_mid_stream_cancels_the_provider(samovar: Samovar, sandbox: Running, way: Way) -> None:
    event = event_of(samovar, leave(samovar, sandbox, way, "[[chunks:150 delay_ms=50]] words", after_words=5))
    assert (event["status"], event["http_status"]) == ("cancelled", 499)
    assert event["usage_estimated"] == 1
    assert event["input_tokens"] > 0
    assert 0 < event["output_tokens"] < 100


def test_nothing_is_left_behind_by_those_who_left(samovar: Samovar, sandbox: Running) -> None:
    def sockets() -> int:
        return len(os.listdir(f"/proc/{samovar.process.pid}/fd"))

    call(samovar, WAYS[0], "warm")
    before = sockets()
    for _ in range(10):
        leave(samovar, sandbox, STREAMS[0], "[[fault:hang]] a", after_words=0)
    assert until(lambda: sockets() <= before + 2)
    _, metrics, _ = samovar.request("GET", "/metrics")
    assert "http_requests_inprogress 1.0" in metrics or "http_requests_inprogress 0.0" in metrics
