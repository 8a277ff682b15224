"""Deltas to the events of a response stream.

Output items may be open side by side here, as the core's parts may, so every delta is written as it comes. Words in a row
share one message, which ends when a part of another kind begins and all its words are closed.
"""

from collections.abc import Mapping

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import sse_bytes
from samovar.ports.dialect import UpstreamError
from samovar.ports.foreign_reasoning import proof_apart
from samovar.ports.llm import (
    ChatRequest,
    Delta,
    Failed,
    KeepAlive,
    Opened,
    Part,
    PartClosed,
    PartOpened,
    Reasoning,
    Refusal,
    Stop,
    StopKind,
    Stopped,
    Text,
    ToolCall,
    Usage,
    UsageSeen,
)
from samovar.ports.vendor_errors import openai_error_fields
from samovar.providers.openai_responses.content import Json
from samovar.providers.openai_responses.response import answer_item, response_json
from samovar.providers.openai_responses.stream.growing import (
    Call,
    Growing,
    Message,
    Thinking,
    Words,
)
from samovar.providers.openai_responses.usage import write_status, write_usage

KEEP_ALIVE = b": keep-alive\n\n"


class ResponsesStreamWriter:
    """One for each stream."""

    def __init__(self, *, request: ChatRequest) -> None:
        self._request = request
        self._opened: Opened | None = None
        self._started = False
        self._over = False
        self._sequence = 0
        self._usage: Usage | None = None
        self._stop = Stop(kind=StopKind.END)
        # The items in the order of their beginning; what was left out has no place.
        self._items: list[Growing] = []
        self._message: Message | None = None
        self._parts: dict[int, Growing | Words] = {}
        self._out: list[bytes] = []

    def write(self, delta: Delta) -> bytes:
        """Bytes for the caller, possibly none."""
        if self._over:
            return b""
        match delta:
            case Opened():
                # Not written yet: an error before the content must still be able to be a plain answer.
                self._opened = delta
            case UsageSeen():
                self._usage = delta.usage
            case Stopped():
                self._stop = delta.stop
            case KeepAlive():
                return KEEP_ALIVE
            case Failed():
                error = UpstreamError(delta.message, upstream_status=delta.status, upstream_code=delta.code)
                return self.fail(error)
            case PartOpened():
                self._start()
                self._open(delta.index, delta.part)
            case PartClosed():
                self._close(delta.index)
            case _:
                part = self._parts.get(delta.index)
                if part is not None:
                    part.more(delta, self._emit)
        return self._taken()

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """Open items closed, and the terminal event with the whole answer, the usage, and ``extra`` beside them."""
        if self._over:
            return b""
        self._over = True
        self._start()
        status, reason = write_status(self._stop)
        for item in self._items:
            item.close(self._emit, status="completed" if status == "completed" else "incomplete")
        response = self._response(status=status, reason=reason)
        further = {} if extra is None else {"samovar": extra}
        self._emit(f"response.{status}", {"response": response, **further})
        return self._taken()

    def fail(self, error: SamovarError) -> bytes:
        """``error``, then ``response.failed``, as the API does it. Nothing follows them."""
        if self._over:
            return b""
        self._over = True
        fields = openai_error_fields(error, status=error.http_status)
        # Nested as the API sends it, which makes the SDK raise; flat as its types have it.
        told = {name: fields[name] for name in ("code", "message", "param")}
        self._emit("error", {**told, "error": fields})
        response = self._response(status="failed", error={"code": fields["code"], "message": fields["message"]})
        self._emit("response.failed", {"response": response})
        return self._taken()

    # -- events

    def _emit(self, kind: str, fields: Json) -> None:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        self._out.append(sse_bytes(msgspec.json.encode(event), kind))

    def _taken(self) -> bytes:
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for kind in ("response.created", "response.in_progress"):
            self._emit(kind, {"response": self._response(status="in_progress")})

    @property
    def _id(self) -> str:
        return (self._opened.id if self._opened else "") or "resp_0"

    def _response(self, *, status: str, reason: str | None = None, error: Mapping[str, object] | None = None) -> Json:
        opened = self._opened or Opened(id="", model=self._request.model)
        return response_json(
            response_id=self._id,
            model=opened.model or self._request.model,
            created=opened.created,
            request=self._request,
            status=status,
            reason=reason,
            error=error,
            output=[] if status == "in_progress" else [item.whole for item in self._items if item.whole is not None],
            usage=None if status == "in_progress" or self._usage is None else write_usage(self._usage),
        )

    # -- items

    def _open(self, index: int, part: Part) -> None:
        if isinstance(part, Text | Refusal):
            phase = part.phase if isinstance(part, Text) else None
            message = self._message
            if message is None or message.phase != phase:
                self._finish_message()
                message = self._message = Message(self._id, len(self._items), phase)
                self._add(message)
            self._parts[index] = message.words(part, self._emit)
            return
        self._finish_message()
        proof = proof_apart(part) if isinstance(part, ToolCall) else None
        if proof is not None:
            signed = Thinking(self._id, len(self._items), proof)
            self._add(signed)
            signed.close(self._emit, status="completed")
        item = self._begin(part)
        if item is not None:
            self._parts[index] = item
            self._add(item)

    def _begin(self, part: Part) -> Growing | None:
        at = len(self._items)
        match part:
            case ToolCall():
                return Call(self._id, at, part)
            case Reasoning():
                return Thinking(self._id, at, part)
        whole = answer_item(part, item_ids=(self._id, at), where=f"output[{at}]")
        return None if whole is None else Growing(at, whole)

    def _add(self, item: Growing) -> None:
        self._items.append(item)
        item.begin(self._emit)

    def _close(self, index: int) -> None:
        part = self._parts.pop(index, None)
        if part is not None:
            part.close(self._emit, status="completed")

    def _finish_message(self) -> None:
        """The message takes no more parts; it ends now, or with the last of those still open."""
        message, self._message = self._message, None
        if message is not None:
            message.finish(self._emit)
