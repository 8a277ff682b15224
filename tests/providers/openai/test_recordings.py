"""Real answers of OpenAI, Azure and xAI, where the folder of recordings stands beside the repository."""

from pathlib import Path

import pytest

from samovar.kernel.sse import sse_bytes
from samovar.ports.dialect import Vendor
from samovar.ports.llm import ArgumentsDelta, StopKind, TextDelta, UsageSeen
from samovar.providers.openai import OpenAIChat
from samovar.providers.vendors import VENDORS
from tests.providers.openai.samples import DONE, passed, read_all

FOLDER = Path(__file__).parents[4] / "shared" / "recordings"
pytestmark = pytest.mark.skipif(not (FOLDER / "openai").is_dir(), reason="no recordings beside the repository")

STREAMS = {
    "openai/chat-openai-text.chunks.txt": (16, 300, None),
    "openai/chat-azure-model-router.1.chunks.txt": (15, 78, None),
    "openai-compatible/chat-xai-text.chunks.txt": (12, 342, 172_125),
    "openai-compatible/chat-xai-tool-call.chunks.txt": (307, 253, 149_750),
}
ANSWERS = {
    "openai/chat-openai-text.json": (16, 363, None),
    "openai-compatible/chat-xai-text.json": (12, 322, 164_150),
    "openai-compatible/chat-xai-tool-call.json": (307, 281, 177_700),
}


def vendor_of(name: str) -> Vendor:
    return VENDORS["xai" if "xai" in name else "openai"]


def stream_of(name: str) -> bytes:
    return b"".join(sse_bytes(line) for line in (FOLDER / name).read_bytes().splitlines() if line) + DONE


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("step", [1, 97, 1_000_000])
def test_a_recorded_stream_passes_and_is_counted(dialect: OpenAIChat, name: str, step: int) -> None:
    stream = stream_of(name)
    relay = dialect.relay(vendor=vendor_of(name), wants_usage=True)
    out = passed(relay, [stream[at : at + step] for at in range(0, len(stream), step)])
    assert out == stream
    assert relay.usage is not None
    assert (relay.usage.input_tokens, relay.usage.output_tokens, relay.usage.reported_cost_nano_usd) == STREAMS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_translated(dialect: OpenAIChat, name: str) -> None:
    deltas = read_all(dialect.stream_reader(vendor=vendor_of(name)), [stream_of(name)])
    assert any(isinstance(delta, TextDelta) for delta in deltas)
    (usage,) = [delta.usage for delta in deltas if isinstance(delta, UsageSeen)]
    assert (usage.input_tokens, usage.output_tokens, usage.reported_cost_nano_usd) == STREAMS[name]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_is_read_and_tapped(dialect: OpenAIChat, name: str) -> None:
    body = (FOLDER / name).read_bytes()
    read = dialect.read_response(body, vendor=vendor_of(name))
    tapped = dialect.tap(body, vendor=vendor_of(name))
    assert (read.usage, read.stop, read.model) == (tapped.usage, tapped.stop, tapped.model)
    assert (read.usage.input_tokens, read.usage.output_tokens, read.usage.reported_cost_nano_usd) == ANSWERS[name]


def test_a_recorded_compatible_server_calls_its_tool(dialect: OpenAIChat) -> None:
    stream = (FOLDER / "openai-compatible" / "chat-anthropic-fallback-tool-call.sse").read_bytes()
    relay = dialect.relay(vendor=VENDORS["openai-compatible"], wants_usage=True)
    assert passed(relay, [stream]) == stream.rstrip() + b"\n\n"
    assert relay.stop is not None
    assert relay.stop.kind is StopKind.TOOL_CALLS
    deltas = read_all(dialect.stream_reader(vendor=VENDORS["openai-compatible"]), [stream])
    assert "".join(delta.json for delta in deltas if isinstance(delta, ArgumentsDelta)) == '{"path": "a.txt"}'


def test_a_recorded_error_is_read(dialect: OpenAIChat) -> None:
    body = (FOLDER / "openai" / "chat-reasoning-model-legacy-parameter-error.json").read_bytes()
    error = dialect.read_error(400, body, header=lambda name: None)
    assert error.upstream_code == "unsupported_parameter"
    assert error.http_status == 400
