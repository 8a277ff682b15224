"""Calls for vision through a whole Samovar: what they add to a small picture, and for how long a large one holds the loop."""

import base64
import http.client
import json
import random
from io import BytesIO
from pathlib import Path

from PIL import Image

from bench.figures import Figure, median
from bench.lanes import Lane, LaneBroken
from bench.scenarios.bench import Bench
from bench.scenarios.images import steps_ms
from bench.scenarios.vision import photograph

DELAY_MS = 20.0
SMALL_CALLS = 200
LARGE_CALLS = 10
TIMEOUT_S = 60.0
BOUNDARY = "of-the-bench"
MODEL = "openai/gpt-of-vision"


def analyze(bench: Bench) -> list[Figure]:
    """Overhead by the answers' own word; the longest step of the loop on asyncio's, in the processor's time."""
    small = BytesIO()
    Image.new("RGB", (64, 64), "red").save(small, "PNG")
    added_ms = _calls(bench.samovar, *_as_json(small.getvalue()), calls=SMALL_CALLS)
    figures = [
        Figure("vision, small picture, added", median(added_ms), "ms", note=f"median of {SMALL_CALLS}, worker warm")
    ]
    lane, report = bench.stage.observed()
    photo = photograph(random.Random(bench.measure.seed))
    ways = (("JSON", _as_json(photo)), ("form", _as_form(photo)))
    for _, (body, kind) in ways:
        _calls(lane, body, kind, calls=3)
    for name, (body, kind) in ways:
        longest = _steps_of(lane, report, body, kind)
        typical = longest[min(LARGE_CALLS // 2, len(longest) - 1)]
        note = f"{len(body) / 1e6:.1f} MB, of {LARGE_CALLS} calls; a typical call's longest {typical:.1f}"
        figures.append(
            Figure(f"12 MP for vision as {name}, longest step", longest[0], "ms", DELAY_MS, at_least=False, note=note)
        )
    return figures


def _steps_of(lane: Lane, report: Path, body: bytes, kind: str) -> list[float]:
    steps_ms(lane, report)  # what went before does not count
    _calls(lane, body, kind, calls=LARGE_CALLS)
    return steps_ms(lane, report)


def _as_json(picture: bytes) -> tuple[bytes, str]:
    asked = {"model": MODEL, "prompt": "What is this?", "image_base64": base64.b64encode(picture).decode()}
    return json.dumps(asked).encode(), "application/json"


def _as_form(picture: bytes) -> tuple[bytes, str]:
    fields = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("model", MODEL), ("prompt", "What is this?"))
    )
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'
    body = fields.encode() + file.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={BOUNDARY}"


def _calls(lane: Lane, body: bytes, kind: str, *, calls: int) -> list[float]:
    """What each of them added, in milliseconds."""
    connection = http.client.HTTPConnection(lane.target.host, lane.target.port, timeout=TIMEOUT_S)
    headers = {"authorization": f"Bearer {lane.key}", "content-type": kind}
    added_ms = []
    try:
        for _ in range(calls):
            connection.request("POST", "/v1/vision/analyze", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise LaneBroken(f"a picture was answered with {answer.status}: {content[:300]!r}")
            added_ms.append(float(answer.headers["x-samovar-overhead-ms"]))
    finally:
        connection.close()
    return added_ms
