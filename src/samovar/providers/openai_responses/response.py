"""Whole answers, both ways, and their items."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import BadAnswer, Tapped, Unsupported, Vendor
from samovar.ports.foreign_reasoning import proofs_apart
from samovar.ports.llm import (
    ChatRequest,
    ChatResponse,
    Media,
    MediaKind,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    StopKind,
    Text,
    ToolCall,
    ToolMode,
    Usage,
)
from samovar.providers.openai_responses.content import Json, output_text, read_output_text
from samovar.providers.openai_responses.errors import upstream_error
from samovar.providers.openai_responses.reasoning import item_json, read_item, sealed, written_id
from samovar.providers.openai_responses.usage import read_stop, read_usage, write_status, write_usage
from samovar.providers.openai_responses.wire import (
    DIALECT,
    Answer,
    Ending,
    ErrorWire,
    FunctionCall,
    Item,
    MessageItem,
    OutputText,
    ReasoningItem,
    RefusalContent,
    Typed,
    says_more,
)

_ENDINGS: Final = msgspec.json.Decoder(Ending)
_ANSWERS: Final = msgspec.json.Decoder(Answer)
_TYPED: Final = msgspec.json.Decoder(Typed)
_MESSAGES: Final = msgspec.json.Decoder(MessageItem)
_ITEMS: Final = msgspec.json.Decoder(Item)

# --- reading --------------------------------------------------------------------------------------------------------


def unreadable(error: Exception) -> BadAnswer:
    """The words for a body that is not this dialect's JSON; nothing of the body in them."""
    return BadAnswer(f"The provider's answer is not a response in JSON: {error}")


def read_ending(body: bytes) -> Ending:
    """A whole answer without its content. Raises :class:`BadAnswer`, and ``UpstreamError`` for a failed one."""
    try:
        ending = _ENDINGS.decode(body)
    except (ValueError, RecursionError) as error:
        raise unreadable(error) from error
    if ending.error is not None:
        raise upstream_error(ending.error)
    if ending.status == "failed":
        raise upstream_error(ErrorWire(message="The provider gave up the answer without saying why."))
    if ending.object != "response" or ending.output is None:
        raise BadAnswer(f"The provider's answer is no response: its object is {ending.object[:40]!r}.")
    return ending


def tap(body: bytes) -> Tapped:
    """Usage, model and stop of an answer that passes through. Raises as :func:`read_response`."""
    ending = read_ending(body)
    return Tapped(model=ending.model, usage=read_usage(ending), stop=read_stop(ending), pins=ending.pins())


def read_response(body: bytes, *, vendor: Vendor) -> ChatResponse:
    """Raises :class:`BadAnswer` for what is no whole answer, ``UpstreamError`` for an error in a 200."""
    ending = read_ending(body)
    stop = read_stop(ending)
    if stop is None:
        raise BadAnswer(f"The provider's answer is not whole: its status is {(ending.status or '')[:40]!r}.")
    try:
        items = _ANSWERS.decode(body).output or ()
        parts = [part for raw in items for part in read_parts(raw, origin=vendor.name)]
    except ValueError as error:
        raise unreadable(error) from error
    return ChatResponse(
        id=ending.id,
        model=ending.model,
        parts=tuple(parts),
        stop=stop,
        usage=read_usage(ending) or Usage(estimated=True),
        created=int(ending.created_at or 0),
    )


def read_parts(raw: Raw, *, origin: str) -> Sequence[Part]:
    """The parts of one output item; an item that the core cannot hold is one opaque part. Raises
    ``msgspec.ValidationError`` for wrong types in a known item."""
    kind = _TYPED.decode(raw).type
    try:
        if kind == "message":
            return _words(_MESSAGES.decode(raw))
        if kind == "function_call":
            return [_call(_ITEMS.decode(raw))]
        if kind == "reasoning":
            return [_thinking(_ITEMS.decode(raw), origin=origin)]
    except msgspec.ValidationError as error:
        if not says_more(str(error)):
            raise
    return [Opaque(dialect=DIALECT, raw=raw.copy())]


def _words(item: MessageItem) -> list[Part]:
    if isinstance(item.content, str):
        return [Text(text=item.content, phase=item.phase)]
    parts: list[Part] = []
    for content in item.content:
        match content:
            case OutputText():
                parts.append(read_output_text(content, phase=item.phase))
            case RefusalContent():
                parts.append(Refusal(text=content.refusal))
            case _:
                raise msgspec.ValidationError("Invalid value - at `$.content[...].type`")
    return parts


def _call(item: Item) -> ToolCall:
    assert isinstance(item, FunctionCall)
    return ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)


def _thinking(item: Item, *, origin: str) -> Reasoning:
    assert isinstance(item, ReasoningItem)
    return read_item(item, origin=origin)


# --- writing --------------------------------------------------------------------------------------------------------


def write_response(response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
    """A response. What the core does not tell of the request (its tools, for instance) stands as the API's default;
    server-tool traces of other dialects have no shape here and are left out."""
    status, reason = write_status(response.stop)
    body = response_json(
        response_id=response.id,
        model=response.model,
        created=response.created,
        request=None,
        status=status,
        reason=reason,
        output=_output(response),
        usage=write_usage(response.usage),
    )
    if extra is not None:
        body["samovar"] = extra
    return msgspec.json.encode(body)


def response_json(
    *,
    response_id: str,
    model: str,
    created: int,
    request: ChatRequest | None,
    status: str,
    reason: str | None = None,
    error: Mapping[str, object] | None = None,
    output: Sequence[object] = (),
    usage: Mapping[str, object] | None = None,
) -> Json:
    """The response object, as it stands alone and inside events."""
    ask = request or ChatRequest(model=model, messages=())
    if status == "failed" and error is None:
        error = {"code": "server_error", "message": "The provider gave up the answer."}
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": status,
        "error": error,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": None,
        "max_output_tokens": ask.max_output_tokens,
        "model": model,
        "output": output,
        "parallel_tool_calls": ask.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": ask.reasoning.effort if ask.reasoning else None,
            "summary": ask.reasoning.summary if ask.reasoning else None,
        },
        # Nothing is kept that a later call could refer to.
        "store": False,
        "temperature": ask.temperature,
        "text": {"format": _format(ask)},
        "tool_choice": _tool_choice(ask),
        "tools": [_tool(ask, at) for at in range(len(ask.tools))],
        "top_p": ask.top_p,
        "truncation": "disabled",
        "usage": usage,
        "user": ask.user,
        "metadata": ask.metadata if ask.metadata is not None else {},
    }


def _format(ask: ChatRequest) -> Json:
    if ask.output is None or ask.output.kind != "json_schema":
        return {"type": "text" if ask.output is None else ask.output.kind}
    return {
        "type": "json_schema",
        "name": ask.output.name,
        "description": ask.output.description,
        "schema": ask.output.schema,
        "strict": ask.output.strict,
    }


def _tool_choice(ask: ChatRequest) -> object:
    choice = ask.tool_choice
    if choice is None:
        return "auto"
    return {"type": "function", "name": choice.name} if choice.mode is ToolMode.NAMED else choice.mode.value


def _tool(ask: ChatRequest, at: int) -> Json:
    tool = ask.tools[at]
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema,
        "strict": tool.strict,
    }


def _output(response: ChatResponse) -> list[object]:
    """Words in a row, of one phase, are one message."""
    output: list[object] = []
    words: Json | None = None
    # Only the last item can have been cut short.
    for at, part in enumerate(proofs_apart(response.parts)):
        if isinstance(part, Text | Refusal):
            phase = part.phase if isinstance(part, Text) else None
            if words is None or words.get("phase") != phase:
                words = message_json(item_id=item_id("msg", response.id, len(output)), phase=phase)
                output.append(words)
            words["content"].append(content_json(part))
            continue
        words = None
        item = answer_item(part, item_ids=(response.id, len(output)), where=f"output[{at}]")
        output += [] if item is None else [item]
    if words is not None and response.stop.kind in (StopKind.MAX_TOKENS, StopKind.CONTENT_FILTER):
        words["status"] = "incomplete"
    return output


def item_id(prefix: str, response_id: str, at: int) -> str:
    """The same for the same answer, whole or streamed."""
    return f"{prefix}_{response_id.removeprefix('resp_')}_{at}"


def message_json(*, item_id: str, phase: str | None, status: str = "completed", content: Iterable[object] = ()) -> Json:
    """A message of the model."""
    item: Json = {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": list(content)}
    if phase is not None:
        item["phase"] = phase
    return item


def content_json(part: Text | Refusal) -> Json:
    """One entry of a message's content."""
    return output_text(part) if isinstance(part, Text) else {"type": "refusal", "refusal": part.text}


def call_json(part: ToolCall, *, item_id: str, arguments: str, status: str) -> Json:
    """A call of a function."""
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": part.id,
        "name": part.name,
    }


def answer_item(part: Part, *, item_ids: tuple[str, int], where: str) -> object | None:
    """The item of an answer for anything but words, ``None`` for what has no place. A picture is what the vendor's own
    tool for pictures gives. Raises :class:`Unsupported` for other media, which an answer here cannot hold."""
    response_id, at = item_ids
    match part:
        case ToolCall():
            own = item_id("fc", response_id, at)
            return call_json(part, item_id=own, arguments=part.arguments, status="completed")
        case Reasoning():
            encrypted = sealed(part, signature=part.signature, encrypted=part.encrypted)
            own = written_id(part, item_id("rs", response_id, at))
            return item_json(item_id=own, text=part.text, encrypted=encrypted)
        case Opaque():
            return part.raw if part.dialect == DIALECT else None
        case Media(kind=MediaKind.IMAGE, base64=str()):
            return {
                "id": item_id("ig", response_id, at),
                "type": "image_generation_call",
                "status": "completed",
                "result": part.base64,
            }
        case Media():
            what = f"{part.kind.value} in an answer"
            raise Unsupported(f"The Responses API cannot hold {what}.", flaws=[Flaw(where, what)])
    return None


def with_extra(body: bytes | Raw, extra: Mapping[str, object]) -> bytes:
    """A JSON object with our field put last, the rest as it was."""
    fields: dict[str, object] = dict(msgspec.json.decode(body, type=dict[str, Raw]))
    fields["samovar"] = extra
    return msgspec.json.encode(fields)
