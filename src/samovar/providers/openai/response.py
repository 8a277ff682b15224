"""Whole answers between OpenAI's format and the neutral core."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from samovar.kernel.errors import Malformed
from samovar.ports.dialect import BadAnswer, Vendor
from samovar.ports.json_requests import decode
from samovar.ports.llm import (
    ChatResponse,
    Media,
    MediaKind,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
)
from samovar.providers.openai.parts import (
    media_of_url,
    media_url,
    reasoning_details,
    reasoning_of,
    tool_call_json,
    tool_call_of,
    words_of,
)
from samovar.providers.openai.passthrough import read_answer
from samovar.providers.openai.usage import finish_reason, stop_of, usage_json, usage_of
from samovar.providers.openai.wire import (
    ABSENT,
    DIALECT,
    ContentPart,
    FunctionCallPart,
    ImagePart,
    ReasoningDetail,
    Typed,
    encode,
    given,
    is_null,
)


class _AnswerMessage(Struct, frozen=True):
    role: str | None = None
    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[Raw] | None = None
    annotations: Raw = ABSENT
    images: list[ImagePart] | None = None


_KNOWN: Final = frozenset(_AnswerMessage.__struct_fields__)


def read_response(body: bytes, *, vendor: Vendor) -> ChatResponse:
    """The first choice. Raises :class:`BadAnswer`, and ``UpstreamError`` for an error in a 200. Without usage in it,
    the answer's usage is empty and marked ``estimated``: the caller of this function must estimate."""
    answer = read_answer(body)
    assert answer.choices  # read_answer saw to it
    first = answer.choices[0]
    if is_null(first.message):
        raise BadAnswer("the provider's answer has a choice without a message")
    try:
        parts = _parts(first.message)
    except Malformed as error:
        raise BadAnswer(f"the provider's answer has a message that cannot be read: {error.detail}") from error
    logprobs = given(first.logprobs)
    if logprobs is not None:
        parts.append(Opaque(dialect=DIALECT, raw=Raw(encode({"choice": {"logprobs": logprobs}}))))
    usage = usage_of(answer.usage, quirks=vendor.quirks, service_tier=answer.service_tier)
    return ChatResponse(
        id=answer.id or "",
        model=answer.model or "",
        parts=tuple(parts),
        stop=stop_of(first.finish_reason, matched=first.stop_reason),
        usage=usage or Usage(estimated=True, service_tier=answer.service_tier),
        created=int(answer.created or 0),
    )


def _parts(raw: Raw) -> list[Part]:
    message = decode(raw, _AnswerMessage, where="$.choices[0].message")
    parts: list[Part] = list(reasoning_of(message.reasoning_details, message.reasoning_content or message.reasoning))
    thinking, text = words_of(message.content)
    parts += [Reasoning(text=thinking)] if thinking else []
    if text:
        annotations = given(message.annotations)
        parts.append(Text(text=text, annotations=None if annotations in (None, Raw(b"[]")) else annotations))
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    parts += [
        media_of_url(image.image_url, kind=MediaKind.IMAGE, where="$.choices[0].message.images")
        for image in message.images or ()
    ]
    parts += [_call(call, index) for index, call in enumerate(message.tool_calls or ())]
    fields = decode(raw, dict[str, Raw])
    further = {name: value for name, value in fields.items() if name not in _KNOWN and not is_null(value)}
    if further:
        parts.append(Opaque(dialect=DIALECT, raw=Raw(encode(further))))
    return parts


def _call(raw: Raw, index: int) -> Part:
    where = f"$.choices[0].message.tool_calls[{index}]"
    if decode(raw, Typed, where=where).type not in ("", "function"):
        return Opaque(dialect=DIALECT, raw=raw.copy())
    return tool_call_of(decode(raw, FunctionCallPart, where=where), index=index)


def write_response(response: ChatResponse, *, extra: Mapping[str, object] | None) -> bytes:
    """One choice, as the openai SDK's ``ChatCompletion``."""
    choice: dict[str, object] = {"index": 0, "message": {}, "logprobs": None, "finish_reason": ""}
    choice["message"] = _message(response, choice)
    choice["finish_reason"] = finish_reason(response.stop)
    body: dict[str, object] = {
        "id": response.id,
        "object": "chat.completion",
        "created": response.created,
        "model": response.model,
        "choices": [choice],
        "usage": usage_json(response.usage),
    }
    if response.usage.service_tier is not None:
        body["service_tier"] = response.usage.service_tier
    if extra:
        body["samovar"] = extra
    return encode(body)


def _message(response: ChatResponse, choice: dict[str, object]) -> dict[str, object]:
    """The message; what was said of the choice itself is put there."""
    texts = [part for part in response.parts if isinstance(part, Text)]
    refusals = [part.text for part in response.parts if isinstance(part, Refusal)]
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(part.text for part in texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    notes = [
        note for part in texts if part.annotations for note in msgspec.json.decode(part.annotations, type=list[Raw])
    ]
    if notes:
        message["annotations"] = notes
    _thinking(message, [part for part in response.parts if isinstance(part, Reasoning)])
    images = [image_json(part) for part in response.parts if isinstance(part, Media)]
    if images:
        message["images"] = images
    calls: list[object] = [tool_call_json(part) for part in response.parts if isinstance(part, ToolCall)]
    for part in response.parts:
        # Another dialect's parts (server tools) have no place in this surface's answer, and its text stands without them.
        if isinstance(part, Opaque) and part.dialect == DIALECT:
            _put_back(part, message, choice, calls)
    if calls:
        message["tool_calls"] = calls
    return message


def _thinking(message: dict[str, object], parts: list[Reasoning]) -> None:
    text = "".join(part.text for part in parts)
    if text:
        message["reasoning_content"] = text
    details = [detail for part in parts for detail in reasoning_details(part)]
    if details:
        message["reasoning_details"] = details


def _put_back(part: Opaque, message: dict[str, object], choice: dict[str, object], calls: list[object]) -> None:
    fields = msgspec.json.decode(part.raw, type=dict[str, Raw])
    if "type" in fields:
        calls.append(part.raw)
    elif "choice" in fields:
        choice.update(msgspec.json.decode(fields["choice"], type=dict[str, Raw]))
    else:
        message.update(fields)


def image_json(media: Media) -> dict[str, object]:
    """A picture that the model made, as OpenRouter answers it."""
    return {"type": "image_url", "image_url": {"url": media_url(media) or ""}}
