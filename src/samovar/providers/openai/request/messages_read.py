"""Messages of a chat request, read into the neutral core."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from samovar.ports.json_requests import decode, flawed
from samovar.ports.llm import (
    CacheMark,
    Media,
    MediaKind,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from samovar.providers.openai.parts import audio_of, cache_ttl, file_of, media_of_url, reasoning_of, tool_call_of
from samovar.providers.openai.wire import (
    DIALECT,
    AudioPart,
    FilePart,
    FunctionCallPart,
    ImagePart,
    MessageBody,
    RefusalPart,
    TextPart,
    Typed,
    VideoPart,
    encode,
    is_null,
)

_ROLES: Final[Mapping[str, Role]] = {role.value: role for role in Role}
_KNOWN: Final = frozenset(MessageBody.__struct_fields__)


def read_message(raw: Raw, *, where: str) -> Message:
    """Raises ``Malformed`` with paths that begin at ``where``."""
    body = decode(raw, MessageBody, where=where)
    if body.role == "function":
        return Message(role=Role.TOOL, parts=(Opaque(dialect=DIALECT, raw=raw.copy()),), name=body.name)
    role = _ROLES.get(body.role)
    if role is None:
        raise flawed(f"{where}.role", f"unknown role {body.role[:40]!r}")
    content = _content(body.content, where=f"{where}.content")
    if role is Role.TOOL:
        return Message(role=role, parts=(_tool_result(body, content, where=where),), name=body.name)
    parts: list[Part] = list(reasoning_of(body.reasoning_details, body.reasoning_content or body.reasoning))
    parts += content
    if body.refusal is not None:
        parts.append(Refusal(text=body.refusal))
    for index, call in enumerate(body.tool_calls or ()):
        parts.append(_tool_call(call, index=index, where=f"{where}.tool_calls[{index}]"))
    further = _further(raw, where=where)
    if further is not None:
        parts.append(further)
    if not parts and role is not Role.ASSISTANT:
        raise flawed(f"{where}.content", "this field is required")
    return Message(role=role, parts=tuple(parts), name=body.name)


def _content(content: str | list[Raw] | None, *, where: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    return [_part(raw, where=f"{where}[{index}]") for index, raw in enumerate(content)]


def _part(raw: Raw, *, where: str) -> Part:
    kind = decode(raw, Typed, where=where).type
    read = _PARTS.get(kind)
    if read is not None:
        return read(raw, where)
    if not kind:
        raise flawed(f"{where}.type", "this field is required")
    return Opaque(dialect=DIALECT, raw=raw.copy())


def _text(raw: Raw, where: str) -> Part:
    part = decode(raw, TextPart, where=where)
    return Text(text=part.text, cache=_mark(part))


def _refusal(raw: Raw, where: str) -> Part:
    return Refusal(text=decode(raw, RefusalPart, where=where).refusal)


def _image(raw: Raw, where: str) -> Part:
    part = decode(raw, ImagePart, where=where)
    media = media_of_url(part.image_url, kind=MediaKind.IMAGE, where=f"{where}.image_url")
    return _marked(media, part)


def _video(raw: Raw, where: str) -> Part:
    part = decode(raw, VideoPart, where=where)
    media = media_of_url(part.video_url, kind=MediaKind.VIDEO, where=f"{where}.video_url")
    return _marked(media, part)


def _audio(raw: Raw, where: str) -> Part:
    part = decode(raw, AudioPart, where=where)
    return _marked(audio_of(part.input_audio.data, part.input_audio.format), part)


def _file(raw: Raw, where: str) -> Part:
    part = decode(raw, FilePart, where=where)
    return _marked(file_of(part, where=where), part)


_PARTS: Final[Mapping[str, Callable[[Raw, str], Part]]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
}


def _mark(part: TextPart | ImagePart | VideoPart | AudioPart | FilePart) -> CacheMark | None:
    mark = cache_ttl(part.cache_control, part.prompt_cache_breakpoint)
    return None if mark is None else CacheMark(ttl=mark.ttl)


def _marked(media: Media, part: ImagePart | VideoPart | AudioPart | FilePart) -> Media:
    mark = _mark(part)
    return media if mark is None else replace(media, cache=mark)


def _tool_result(body: MessageBody, content: list[Part], *, where: str) -> ToolResult:
    if body.tool_call_id is None:
        raise flawed(f"{where}.tool_call_id", "this field is required")
    said: list[Text | Media] = []
    for index, part in enumerate(content):
        if not isinstance(part, Text | Media):
            raise flawed(f"{where}.content[{index}]", "a tool's result holds text and media only")
        said.append(part)
    return ToolResult(call_id=body.tool_call_id, content=tuple(said), name=body.name)


def _tool_call(raw: Raw, *, index: int, where: str) -> ToolCall | Opaque:
    kind = decode(raw, Typed, where=where).type
    if kind not in ("", "function"):
        return Opaque(dialect=DIALECT, raw=raw.copy())
    call = decode(raw, FunctionCallPart, where=where)
    if call.function is None or not call.function.name:
        raise flawed(f"{where}.function.name", "this field is required")
    return tool_call_of(call, index=index)


def _further(raw: Raw, *, where: str) -> Opaque | None:
    """Members of the message that the core has no place for, together."""
    fields = decode(raw, dict[str, Raw], where=where)
    further = {name: value for name, value in fields.items() if name not in _KNOWN and not is_null(value)}
    return Opaque(dialect=DIALECT, raw=Raw(encode(further))) if further else None
