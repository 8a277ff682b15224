"""Deltas, written as chat chunks."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import sse_bytes
from samovar.ports.dialect import UpstreamError
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    ChatRequest,
    Delta,
    Failed,
    KeepAlive,
    Media,
    Opened,
    PartClosed,
    PartOpened,
    Reasoning,
    Refusal,
    SignatureDelta,
    Stopped,
    Text,
    TextDelta,
    ToolCall,
    Usage,
    UsageSeen,
)
from samovar.ports.vendor_errors import openai_error_fields
from samovar.providers.openai.parts import reasoning_details, tool_call_json
from samovar.providers.openai.response import image_json
from samovar.providers.openai.usage import finish_reason, usage_json
from samovar.providers.openai.wire import encode

DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"
_DELTA: Final = b',"choices":[{"index":0,"delta":'
_GOING_ON: Final = b',"logprobs":null,"finish_reason":null}]'


class _Thought:
    """A reasoning part whose proof must go out with its whole text."""

    def __init__(self, part: Reasoning) -> None:
        self._part = part
        self.text = [part.text]
        self.signature = part.signature
        self.encrypted = part.encrypted

    def whole(self) -> Reasoning:
        return replace(self._part, text="".join(self.text), signature=self.signature, encrypted=self.encrypted)


class ChatStreamWriter:
    """Usage goes out only to a caller who asked for it (``stream_options.include_usage``), in a chunk without choices."""

    def __init__(self, *, request: ChatRequest) -> None:
        self._wants_usage = request.wants_usage
        self._tail = b',"usage":null}' if request.wants_usage else b"}"
        self._identity = self._head(Opened(id="", model=request.model))
        self._fields: dict[int, str] = {}
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, _Thought] = {}
        self._usage: Usage | None = None
        self._begun = False
        self._over = False

    def write(self, delta: Delta) -> bytes:
        """Chunks for the caller; none for what is said at the end."""
        match delta:
            case TextDelta():
                return self._text(delta)
            case ArgumentsDelta():
                call = {"index": self._calls[delta.index], "function": {"arguments": delta.json}}
                return self._chunk({"tool_calls": [call]})
            case Opened():
                self._identity = self._head(delta)
                return self._begin()
            case PartOpened():
                return self._opened(delta)
            case PartClosed():
                return self._closed(delta)
            case Stopped():
                return self._begin() + self._finish(finish_reason(delta.stop))
            case _:
                return self._rare(delta)

    def _rare(self, delta: SignatureDelta | AnnotationDelta | UsageSeen | Failed | KeepAlive) -> bytes:
        match delta:
            case SignatureDelta():
                self._sign(delta)
            case UsageSeen():
                self._usage = delta.usage
            case AnnotationDelta():
                return self._chunk({"annotations": [delta.raw]})
            case Failed():
                return self._failed(delta)
            case KeepAlive():
                return KEEP_ALIVE
        return b""

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """The usage chunk where it was asked for, ``extra`` in it or in a chunk of its own, and ``[DONE]``."""
        if self._over:
            return b""
        self._over = True
        last: dict[str, object] = {}
        if self._wants_usage:
            last["usage"] = usage_json(self._usage or Usage(estimated=True))
        if extra:
            last["samovar"] = extra
        if not last:
            return DONE
        return sse_bytes(self._identity + b',"choices":[],' + encode(last)[1:]) + DONE

    def fail(self, error: SamovarError) -> bytes:
        """``{"error": ...}``, at which the openai SDK raises; no ``[DONE]`` follows."""
        if self._over:
            return b""
        self._over = True
        return sse_bytes(encode({"error": openai_error_fields(error, status=error.http_status)}))

    def _failed(self, delta: Failed) -> bytes:
        return self.fail(UpstreamError(delta.message, upstream_status=delta.status, upstream_code=delta.code))

    # -- chunks

    @staticmethod
    def _head(opened: Opened) -> bytes:
        """What every chunk repeats, encoded once; the closing brace is left off."""
        body = {
            "id": opened.id,
            "object": "chat.completion.chunk",
            "created": opened.created,
            "model": opened.model,
        }
        return encode(body)[:-1]

    def _chunk(self, delta: Mapping[str, object]) -> bytes:
        return b"".join((b"data: ", self._identity, _DELTA, msgspec.json.encode(delta), _GOING_ON, self._tail, b"\n\n"))

    def _finish(self, reason: str) -> bytes:
        stop = b'{},"logprobs":null,"finish_reason":' + encode(reason) + b"}]"
        return b"".join((b"data: ", self._identity, _DELTA, stop, self._tail, b"\n\n"))

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._chunk({"role": "assistant", "content": ""})

    # -- parts

    def _opened(self, delta: PartOpened) -> bytes:
        part = delta.part
        begin = self._begin()
        if isinstance(part, ToolCall):
            self._calls[delta.index] = len(self._calls)
            return begin + self._chunk({"tool_calls": [{"index": self._calls[delta.index], **tool_call_json(part)}]})
        if isinstance(part, Media):
            return begin + self._chunk({"images": [image_json(part)]})
        if not isinstance(part, Text | Reasoning | Refusal):
            # Another dialect's server tools: there is no place for them here, and the text stands without them.
            return begin
        if isinstance(part, Reasoning):
            self._fields[delta.index] = "reasoning_content"
            self._thoughts[delta.index] = _Thought(part)
        else:
            self._fields[delta.index] = "content" if isinstance(part, Text) else "refusal"
        return begin + (self._chunk({self._fields[delta.index]: part.text}) if part.text else b"")

    def _text(self, delta: TextDelta) -> bytes:
        thought = self._thoughts.get(delta.index)
        if thought is not None:
            thought.text.append(delta.text)
        return self._chunk({self._fields[delta.index]: delta.text})

    def _sign(self, delta: SignatureDelta) -> None:
        thought = self._thoughts.get(delta.index)
        if thought is None:
            return
        if delta.encrypted:
            thought.encrypted = (thought.encrypted or "") + delta.signature
        else:
            thought.signature = (thought.signature or "") + delta.signature

    def _closed(self, delta: PartClosed) -> bytes:
        thought = self._thoughts.pop(delta.index, None)
        details = reasoning_details(thought.whole()) if thought is not None else []
        return (
            self._chunk({"reasoning_details": [{**one, "index": delta.index} for one in details]}) if details else b""
        )
