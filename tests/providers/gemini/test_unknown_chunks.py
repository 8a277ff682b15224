"""Chunks of kinds that this version does not know."""

from samovar.kernel.sse import SseEvent
from samovar.providers.gemini import GeminiContent
from tests.providers.gemini.conftest import VENDOR

KNOWN = b'data: {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}], "responseId": "r"}\n\n'
FOREIGN = b'data: {"dream": {}}\n\n'


def test_a_chunk_that_nobody_knows_passes_and_is_counted() -> None:
    relay = GeminiContent().relay(vendor=VENDOR, wants_usage=True)
    assert relay.feed(KNOWN + FOREIGN + KNOWN) == KNOWN + FOREIGN + KNOWN
    assert relay.unknown_events == 1


def test_a_chunk_that_nobody_knows_is_skipped_and_counted() -> None:
    reader = GeminiContent().stream_reader(vendor=VENDOR)
    assert reader.read(SseEvent("message", b'{"dream": {}}')) == ()
    assert reader.unknown_events == 1
