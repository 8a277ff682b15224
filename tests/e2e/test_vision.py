"""Vision as users call it: JSON and forms, whole and streamed, against the sandbox as the vendors."""

import base64
import io
import json
import urllib.request
import uuid
from typing import Any

import pytest
from PIL import Image

from tests.e2e.calling import event_of
from tests.e2e.conftest import Samovar


def picture(colour: str = "red", size: tuple[int, int] = (32, 24), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def analyze(
    samovar: Samovar, body: Any, path: str = "/v1/vision/analyze", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    return samovar.request("POST", path, body, {"Authorization": f"Bearer {samovar.key}", **headers})


def chunks_of(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def words_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_a_picture_in_base64_is_looked_at_and_the_answer_says_what_it_cost(samovar: Samovar) -> None:
    asked = {"model": "sandbox/vision", "prompt": "What is it?", "image_base64": base64_of(picture())}
    status, said, headers = analyze(samovar, asked)
    assert status == 200, said
    assert "32 x 24 pixels" in said["text"]
    assert "red" in said["text"]
    assert said["model"] == "sandbox/vision"
    assert said["provider"] == "sandbox"
    assert said["finish_reason"] == "stop"
    assert said["cleanup_applied"] is False
    assert said["usage"]["prompt_tokens"] > 0
    assert said["cost_credits"] == headers["x-samovar-cost-credits"]
    assert float(said["cost_credits"]) > 0
    assert "prompt_id" not in said


def test_a_stream_is_openais_chunks_with_usage_and_cost_in_the_last(samovar: Samovar) -> None:
    asked = {"model": "sandbox/vision", "prompt": "What is it?", "image_base64": base64_of(picture())}
    status, text, headers = analyze(samovar, asked, "/v1/vision/stream")
    assert status == 200, text
    assert headers["content-type"].startswith("text/event-stream")
    chunks = chunks_of(text)
    assert "32 x 24 pixels" in words_of(chunks)
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert float(chunks[-1]["samovar"]["cost_credits"]) > 0
    assert chunks[-1]["samovar"]["provider"] == "sandbox"
    again, as_well, _ = analyze(samovar, {**asked, "stream": True})
    assert again == 200
    assert words_of(chunks_of(as_well)) == words_of(chunks)
