"""Headers joined, as a connection writes them, and apart again, as messages have them."""

import pytest

from samovar.ports.asgi import Lines, Message, lines_of, pairs_of, send_whole

PAIRS = [(b"content-type", b"application/json"), (b"x-empty", b""), (b"server-timing", b"a: b, c: d")]


def test_what_is_joined_comes_apart_as_it_was() -> None:
    assert pairs_of(lines_of(PAIRS)) == PAIRS
    assert pairs_of(lines_of([])) == []


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"\r\n", b"a\r\n\r\nHTTP/1.1 200 OK"])
async def test_a_header_that_would_be_two_is_refused(value: bytes) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    for headers in ([(b"x-model", value)], Lines(b"x-model: " + value, 1)):
        with pytest.raises(RuntimeError, match="line break"):
            await send_whole(send, 200, headers, b"{}")
    assert sent == []
