"""How long a picture of a megabyte holds the event loop, and with it every other call."""

import base64
import http.client
import json
import os
import random
import signal
import struct
import zlib
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from bench.figures import Figure
from bench.lanes import Lane, LaneBroken
from bench.scenarios.bench import Bench
from bench.wire import ANTHROPIC, ANTHROPIC_NATIVE, ANTHROPIC_TO_OPENAI, OPENAI_NATIVE, OPENAI_TO_ANTHROPIC, Route

TARGET_MS = 5.0
SIDE_PIXELS = 577  # of three bytes, not compressed: a megabyte
CALLS = 20
TIMEOUT_S = 30.0


def images(bench: Bench) -> list[Figure]:
    """The longest step of the loop while pictures pass, by route. Measured on asyncio's loop, in the processor's time."""
    lane, report = bench.stage.observed()
    picture = base64.b64encode(_png(random.Random(bench.measure.seed))).decode()
    figures = []
    for route in (OPENAI_NATIVE, ANTHROPIC_NATIVE, OPENAI_TO_ANTHROPIC, ANTHROPIC_TO_OPENAI):
        body = json.dumps(_body(route, picture)).encode()
        _pass(lane, route, body, calls=3)
        steps_ms(lane, report)  # what went before does not count
        _pass(lane, route, body, calls=CALLS)
        longest = steps_ms(lane, report)
        typical = longest[min(CALLS // 2, len(longest) - 1)]
        name = f"1 MB images, {route.name}, longest step"
        note = f"of {CALLS} calls; a typical call's longest {typical:.1f}"
        figures.append(Figure(name, longest[0], "ms", TARGET_MS, at_least=False, note=note))
    return figures


def _png(randomness: random.Random) -> bytes:
    row = 1 + SIDE_PIXELS * 3
    pixels = b"".join(b"\0" + randomness.randbytes(row - 1) for _ in range(SIDE_PIXELS))
    header = struct.pack(">IIBBBBB", SIDE_PIXELS, SIDE_PIXELS, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _body(route: Route, picture: str) -> dict[str, Any]:
    image: dict[str, Any]
    if route.surface is ANTHROPIC:
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture}}
    else:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
    content = [{"type": "text", "text": "What is this?"}, image]
    return {"model": route.model, "max_tokens": 64, "messages": [{"role": "user", "content": content}]}


def _pass(lane: Lane, route: Route, body: bytes, *, calls: int) -> None:
    connection = http.client.HTTPConnection(lane.target.host, lane.target.port, timeout=TIMEOUT_S)
    headers = {**route.surface.key_headers(lane.key), "content-type": "application/json"}
    try:
        for _ in range(calls):
            connection.request("POST", route.surface.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise LaneBroken(f"{route.name}: a picture was answered with {answer.status}: {content[:300]!r}")
    finally:
        connection.close()


def steps_ms(lane: Lane, report: Path) -> list[float]:
    """The longest steps since the last time, the longest first."""
    report.unlink(missing_ok=True)
    os.kill(lane.processes["samovar"].pid, signal.SIGUSR1)
    began = perf_counter()
    while not report.exists():
        if perf_counter() - began > TIMEOUT_S:
            raise LaneBroken(f"no report of the loop's steps within {TIMEOUT_S:g} s")
        sleep(0.01)
    found: list[float] = json.loads(report.read_text(encoding="utf-8"))
    return found or [0.0]
