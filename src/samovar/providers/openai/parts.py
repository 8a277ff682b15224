"""Parts that stand alike in requests, answers and streams: media, tool calls, thinking."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from samovar.ports.json_requests import flawed
from samovar.ports.llm import Media, MediaKind, Reasoning, ToolCall
from samovar.providers.openai.wire import (
    CacheControl,
    ContentPart,
    FilePart,
    FunctionCallPart,
    MediaUrl,
    ReasoningDetail,
)

_SCHEMES: Final = ("https://", "http://", "data:")
_AUDIO_TYPES: Final = {"mp3": "audio/mpeg"}
_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_PDF: Final = "application/pdf"


def media_of_url(value: MediaUrl | str, *, kind: MediaKind, where: str) -> Media:
    """An image or video by address. Raises ``Malformed`` for what is no http(s) or data URL."""
    link = MediaUrl(url=value) if isinstance(value, str) else value
    if not link.url[:8].lower().startswith(_SCHEMES):
        raise flawed(f"{where}.url", "expected an http, https or data URL")
    split = _data_url(link.url)
    if split is None:
        return Media(kind=kind, url=link.url, detail=link.detail)
    return Media(kind=kind, base64=split[1], media_type=split[0], detail=link.detail)


def _data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64) of a base64 data URL (RFC 2397), ``None`` for any other."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        return None
    return head[5:].split(";", 1)[0].lower() or "application/octet-stream", data


def media_url(media: Media) -> str | None:
    """The address of a part, as a data URL where its bytes are at hand; ``None`` where only a vendor has it."""
    if media.base64 is not None:
        return f"data:{media.media_type or 'application/octet-stream'};base64,{media.base64}"
    return media.url


def audio_of(data: str, sound_format: str) -> Media:
    """Sound from base64 and OpenAI's word for its format (``wav``, ``mp3``)."""
    return Media(
        kind=MediaKind.AUDIO,
        base64=data,
        media_type=_AUDIO_TYPES.get(sound_format, f"audio/{sound_format}"),
    )


def audio_format(media_type: str) -> str:
    """OpenAI's word for a MIME type of sound."""
    return _AUDIO_FORMATS.get(media_type, media_type.removeprefix("audio/"))


def file_of(part: FilePart, *, where: str) -> Media:
    """Raises ``Malformed`` for a file that is neither here nor named."""
    file = part.file
    if file.file_data is not None:
        # OpenAI takes bare base64 too, and then only PDF can be meant.
        media_type, data = _data_url(file.file_data) or (_PDF, file.file_data)
        return Media(kind=MediaKind.FILE, base64=data, media_type=media_type, filename=file.filename)
    if file.file_id is None:
        raise flawed(f"{where}.file", "expected file_data or file_id")
    return Media(kind=MediaKind.FILE, file_id=file.file_id, filename=file.filename)


def cache_ttl(*marks: CacheControl | None) -> CacheControl | None:
    """The first mark that was set."""
    return next((mark for mark in marks if mark is not None), None)


def tool_call_of(call: FunctionCallPart, *, index: int) -> ToolCall:
    """Servers that give no id get one that is the same at every reading."""
    function = call.function
    proof = call.extra_content.google if call.extra_content else None
    return ToolCall(
        id=call.id or f"call_{index}",
        name=(function.name if function else None) or "",
        arguments=(function.arguments if function else None) or "",
        signature=proof.thought_signature if proof else None,
    )


def tool_call_json(call: ToolCall, *, signed: bool = True) -> dict[str, object]:
    """A tool call as it stands in a message, and with an ``index`` beside it in a chunk; ``signed`` with its signature."""
    body: dict[str, object] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature is not None and signed:
        body["extra_content"] = {"google": {"thought_signature": call.signature}}
    return body


def reasoning_of(details: Sequence[ReasoningDetail] | None, text: str | None) -> list[Reasoning]:
    """Details carry the signatures, so they win over the plain text. What is encrypted belongs to the summary before it,
    if both have one id."""
    if not details:
        return [Reasoning(text=text)] if text else []
    read: list[Reasoning] = []
    for detail in details:
        part = detail_of(detail)
        last = read[-1] if read else None
        if last is not None and last.encrypted is None and part.encrypted is not None and same_thought(last, part):
            read[-1] = replace(last, encrypted=part.encrypted)
        else:
            read.append(part)
    return read


def words_of(content: str | Sequence[ContentPart] | None) -> tuple[str, str]:
    """The thinking in an answer's content, and its words."""
    if content is None or isinstance(content, str):
        return "", content or ""
    thinking = "".join(inner.text or "" for part in content for inner in part.thinking or ())
    return thinking, "".join(part.text or "" for part in content)


def detail_of(detail: ReasoningDetail) -> Reasoning:
    """One entry by itself."""
    return Reasoning(
        text=detail.text or detail.summary or "",
        signature=detail.signature,
        encrypted=detail.data,
        id=detail.id,
        origin=detail.format,
    )


def same_thought(one: Reasoning, other: Reasoning) -> bool:
    """Whether two entries are one item of the vendor's."""
    return one.id is not None and (one.id, one.origin) == (other.id, other.origin)


def reasoning_details(part: Reasoning) -> list[dict[str, object]]:
    """OpenRouter's form of a part that must come back untouched; empty where plain text says it all. Its documentation
    wants the entries back as they came: models behind OpenAI's Responses give a summary and something encrypted, all others
    plain or encrypted words (https://openrouter.ai/docs/use-cases/reasoning-tokens)."""
    if part.signature is None and part.encrypted is None and part.id is None:
        return []
    details: list[dict[str, object]] = []
    named = {"id": part.id, "format": part.origin}
    if part.text or part.encrypted is None:
        summary = "responses" in (part.origin or "")
        kind, field = ("reasoning.summary", "summary") if summary else ("reasoning.text", "text")
        details.append({"type": kind, field: part.text or None, "signature": part.signature, **named})
    if part.encrypted is not None:
        details.append({"type": "reasoning.encrypted", "data": part.encrypted, **named})
    return [{name: value for name, value in detail.items() if value is not None} for detail in details]
