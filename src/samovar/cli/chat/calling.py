"""One call to ``/v1/chat/completions``, streamed, and what became of it."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from samovar.adapters.http1 import Http1Transport
from samovar.adapters.system import SystemClock
from samovar.cli.output import CannotDo
from samovar.kernel.sse import SseEvent, SseParser
from samovar.ports.transport import ConnectFailed, HttpAnswer, HttpRequest, Timeouts, TransportFailure

_TIMEOUTS: Final = Timeouts(connect_s=10, first_byte_s=600, idle_s=600)
_MAX_ERROR_BYTES: Final = 1024 * 1024
_DONE: Final = b"[DONE]"


class Server(msgspec.Struct, frozen=True):
    """Where to ask, as whom, and which certificates (PEM) to trust besides the system's."""

    url: str
    key: str
    ca_pem: bytes | None = None

    def __repr__(self) -> str:
        return f"Server({self.url!r})"


class Message(msgspec.Struct, frozen=True):
    """What was said, and by whom: ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


class Answer(msgspec.Struct):
    """An answer as it grows. ``cost_credits`` is ``None`` where no price is known; times are seconds since the call."""

    model: str
    provider: str = ""
    text: str = ""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_credits: str | None = None
    first_token_s: float | None = None
    total_s: float = 0.0
    call_id: str = ""


async def ask(server: Server, answer: Answer, messages: Sequence[Message], heard: Callable[[str], None]) -> None:
    """Fill ``answer`` with what ``answer.model`` says; ``heard`` takes each piece of text as it comes.

    Cancelling closes the connection, which cancels the call. Raises :class:`CannotDo`; what came until then is in
    ``answer``.
    """
    transport = Http1Transport(ca_pem=server.ca_pem)
    clock = SystemClock()
    started = clock.monotonic()

    def piece(text: str) -> None:
        if answer.first_token_s is None:
            answer.first_token_s = clock.monotonic() - started
        answer.text += text
        heard(text)

    try:
        async with transport.send(_request(server, answer.model, messages), timeouts=_TIMEOUTS) as reply:
            if reply.status != 200:
                raise CannotDo(_refusal(reply.status, await reply.read(max_bytes=_MAX_ERROR_BYTES), server))
            await _read(reply, answer, piece)
    except ConnectFailed as error:
        raise CannotDo(
            f"no Samovar answers at {server.url}: start it with `samovar serve`, or say where it is with --url"
        ) from error
    except TransportFailure as error:
        raise CannotDo(f"the connection to {server.url} broke before the answer was whole") from error
    finally:
        answer.total_s = clock.monotonic() - started
        await transport.close()


def _request(server: Server, model: str, messages: Sequence[Message]) -> HttpRequest:
    body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    headers = [
        ("authorization", f"Bearer {server.key}"),
        ("content-type", "application/json"),
        # The last event then says what the call cost.
        ("x-samovar-usage", "1"),
    ]
    return HttpRequest("POST", f"{server.url.rstrip('/')}/v1/chat/completions", headers, msgspec.json.encode(body))


async def _read(reply: HttpAnswer, answer: Answer, piece: Callable[[str], None]) -> None:
    answer.model = reply.header("x-samovar-model") or answer.model
    answer.provider = reply.header("x-samovar-provider") or ""
    answer.call_id = reply.header("x-samovar-call-id") or ""
    parser = SseParser()
    whole = False
    async for block in reply.blocks():
        for event in parser.feed(block):
            whole = _take(event, answer, piece) or whole
    for event in parser.end():
        whole = _take(event, answer, piece) or whole
    if not whole:
        raise CannotDo("the answer broke off before its end")


def _take(event: SseEvent, answer: Answer, piece: Callable[[str], None]) -> bool:
    """Whether this was the stream's last event."""
    if event.data == _DONE:
        return True
    try:
        chunk = msgspec.json.decode(event.data)
    except msgspec.DecodeError as error:
        raise CannotDo("what answers does not speak OpenAI's chat format; is it a Samovar?") from error
    if "error" in chunk:
        raise CannotDo(_message(chunk) or "the provider failed in mid-answer")
    for choice in chunk.get("choices") or ():
        text = (choice.get("delta") or {}).get("content")
        if text:
            piece(text)
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
    usage, ours = chunk.get("usage"), chunk.get("samovar")
    if usage:
        answer.input_tokens, answer.output_tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if ours:
        answer.cost_credits = ours.get("cost_credits")
    return False


def _refusal(status: int, body: bytes, server: Server) -> str:
    try:
        said = _message(msgspec.json.decode(body))
    except msgspec.DecodeError:
        said = ""
    if status == 401:
        return f"{server.url} does not take this key: {said} `samovar keys create NAME` makes one."
    return said or f"{server.url} answered with status {status}; is it a Samovar?"


def _message(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""
