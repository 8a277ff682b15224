"""Long streams of vision: what counts is that something comes, never how long it takes in all."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.conftest import Running, Samovar, start_samovar
from tests.e2e.pictures import STREAM, base64_of, chunks_of, picture, words_of

SCALE = 100
"""A second of the tests is a minute and 40 seconds of the world."""
CHUNKS = 36


@pytest.fixture(scope="module")
def hasty(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """Every bound of the world, scaled."""
    folder: Path = tmp_path_factory.mktemp("hasty")
    running = start_samovar(
        folder,
        {
            "OPENAI_API_KEY": "sk-vendor-openai",
            "OPENAI_BASE_URL": f"{sandbox.url}/v1",
            "SAMOVAR_IDLE_TIMEOUT_S": str(300 / SCALE),
            "SAMOVAR_FIRST_BYTE_TIMEOUT_S": str(120 / SCALE),
            "SAMOVAR_JSON_TIMEOUT_S": str(30 / SCALE),
            "SAMOVAR_BODY_TIMEOUT_S": str(30 / SCALE),
            "SAMOVAR_UNREAD_TIMEOUT_S": str(60 / SCALE),
        },
    )
    yield running
    running.stop()


@dataclass
class Heard:
    """A stream as it came in: its text, how long it took, and the longest silence between two pieces, keep-alives too."""

    text: str = ""
    took_s: float = 0.0
    silence_s: float = 0.0
    comments: int = 0
    failure: BaseException | None = None
    pieces: list[str] = field(default_factory=list)


def listen(samovar: Samovar, *, delay_s: float, chunks: int, timeout_s: float, **more: object) -> Heard:
    """Read a stream whose vendor waits so long before each chunk."""
    asked = {
        "model": "openai/sandbox/vision",
        "prompt": f"Tell. [[chunks:{chunks}]] [[delay_ms:{delay_s * 1000:g}]]",
        "image_base64": base64_of(picture()),
        **more,
    }
    headers = {"Authorization": f"Bearer {samovar.key}", "Content-Type": "application/json"}
    call = urllib.request.Request(samovar.url + STREAM, json.dumps(asked).encode(), headers, method="POST")  # noqa: S310
    heard = Heard()
    began = last = time.monotonic()
    with urllib.request.urlopen(call, timeout=timeout_s) as answer:  # noqa: S310
        assert answer.status == 200
        for line in answer:
            now = time.monotonic()
            heard.silence_s, last = max(heard.silence_s, now - last), now
            heard.pieces.append(line.decode())
            heard.comments += line.startswith(b":")
    heard.text = "".join(heard.pieces)
    heard.took_s = time.monotonic() - began
    return heard


@pytest.mark.parametrize("cleanup", [False, True])
def test_six_minutes_with_a_chunk_every_ten_seconds_end_whole(hasty: Samovar, cleanup: bool) -> None:
    heard = listen(hasty, delay_s=10 / SCALE, chunks=CHUNKS, timeout_s=20, cleanup=cleanup)
    chunks = chunks_of(heard.text)
    assert heard.took_s > 0.9 * 360 / SCALE
    assert "32 x 24 pixels" in words_of(chunks)
    assert len([chunk for chunk in chunks if chunk["choices"] and chunk["choices"][0]["delta"].get("content")]) > 1
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_a_silence_of_two_minutes_is_waited_for(hasty: Samovar) -> None:
    heard = listen(hasty, delay_s=119 / SCALE, chunks=3, timeout_s=20)
    assert heard.silence_s > 1.0
    assert "pixels" in words_of(chunks_of(heard.text))


def test_a_silence_past_the_bound_ends_the_stream_and_says_so(hasty: Samovar) -> None:
    # The first chunk comes with the headers; what is behind it never would.
    asked = "Tell. [[fault:hang_mid]]"
    began = time.monotonic()
    heard = listen(hasty, delay_s=0, chunks=5, timeout_s=20, prompt=asked)
    assert 300 / SCALE <= time.monotonic() - began < 900 / SCALE
    assert "[DONE]" not in heard.text
    assert '"error"' in heard.text.splitlines()[-2]


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_six_real_minutes_and_two_minutes_of_real_silence_end_whole(samovar: Samovar) -> None:
    heard: dict[str, Heard] = {}

    def run(name: str, delay_s: float, chunks: int) -> None:
        try:
            heard[name] = listen(samovar, delay_s=delay_s, chunks=chunks, timeout_s=60)
        except BaseException as error:  # noqa: BLE001  # edge: a thread's failure is told by the test
            heard[name] = Heard(failure=error)

    ways = {"paced": (10.0, CHUNKS), "silent": (119.0, 3)}
    threads = [threading.Thread(target=run, args=(name, *way)) for name, way in ways.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ways:
        assert heard[name].failure is None, heard[name].failure
        assert "pixels" in words_of(chunks_of(heard[name].text))
        # Keep-alives fill what the vendor leaves silent, so that no proxy on the way gives up.
        assert heard[name].silence_s < 20
    assert heard["paced"].took_s > 355
    assert heard["silent"].took_s > 230
    assert heard["silent"].comments >= 10
