"""The time of a call that is not streamed is a total: attempts and the waits between them share it."""

import json
import time
from typing import Any

import pytest

from tests.app.conftest import ADMIN, Answer, Serve, Served

TOTAL_S = 1.5


async def _asked(served: Served, text: str, *models: str) -> tuple[Answer, float]:
    """A call of a group of these models, and the seconds it took."""
    group = json.dumps({"model_ids": models}).encode()
    assert (await served.ask("PUT", "/api/groups/some", body=group, headers=ADMIN)).status in (200, 201)
    made = await served.ask("POST", "/api/keys", body=b'{"name":"t"}', headers=ADMIN)
    body = {"model": "some", "messages": [{"role": "user", "content": text}]}
    began = time.monotonic()
    bearer = {"Authorization": f"Bearer {made.json['key']}"}
    answer = await served.ask("POST", "/v1/chat/completions", body=json.dumps(body).encode(), headers=bearer)
    return answer, time.monotonic() - began


MEMBERS = ("sandbox/echo", "sandbox/vision", "sandbox/reason")


@pytest.mark.parametrize(
    "text",
    [
        "[[first_byte_ms:30000]] a provider that never begins",
        "[[fault:500 first_byte_ms=1000]] providers that fail late, one after the other",
        "[[fault:hang]] a provider that hangs",
    ],
)
async def test_all_attempts_together_end_at_the_total(serve: Serve, text: str) -> None:
    served = await serve(json_timeout_s=TOTAL_S, sandbox="on")
    answer, took_s = await _asked(served, text, *MEMBERS)
    assert answer.status in (502, 504), answer
    # Two attempts with a total each would take as long.
    assert took_s < 2 * TOTAL_S
    assert took_s > 0.9


async def test_a_fallback_within_the_total_answers(serve: Serve) -> None:
    served = await serve(json_timeout_s=10, sandbox="on")
    provider: dict[str, Any] = {"name": "gone", "vendor": "openai-compatible", "base_url": "http://127.0.0.1:9/v1"}
    body = json.dumps({**provider, "models": ["m"]}).encode()
    assert (await served.ask("POST", "/api/providers", body=body, headers=ADMIN)).status == 201
    answer, took_s = await _asked(served, "[[first_byte_ms:500]] hello", "gone/m", "sandbox/echo")
    assert (answer.status, answer.headers["x-samovar-attempts"]) == (200, "2")
    assert 0.5 <= took_s < 10


async def test_a_stream_has_no_total(serve: Serve) -> None:
    served = await serve(json_timeout_s=0.3, sandbox="on")
    made = await served.ask("POST", "/api/keys", body=b'{"name":"t"}', headers=ADMIN)
    asked = {
        "model": "sandbox/echo",
        "messages": [{"role": "user", "content": "[[delay_ms:300]] a b c"}],
        "stream": True,
    }
    bearer = {"Authorization": f"Bearer {made.json['key']}"}
    answer = await served.ask("POST", "/v1/chat/completions", body=json.dumps(asked).encode(), headers=bearer)
    assert b"data: [DONE]" in answer.body
