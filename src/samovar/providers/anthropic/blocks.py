"""Content blocks to and from the neutral core's parts.

A block that the core cannot hold without loss (server tools, citations switched on, a tool called by code, ...) becomes an
``Opaque`` part of this dialect, byte for byte. Empty texts are left out of what we write: the API refuses them.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from samovar.ports.llm import (
    CacheMark,
    Media,
    MediaKind,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from samovar.providers.anthropic.reasoning import read_redacted, read_thinking
from samovar.providers.anthropic.wire import (
    ABSENT,
    DIALECT,
    Base64Source,
    CacheControl,
    DocumentBlock,
    DocumentSource,
    FileSource,
    ImageBlock,
    KnownBlock,
    RedactedThinkingBlock,
    TextBlock,
    TextSource,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
    said,
)

Refuse: TypeAlias = Callable[[str, str], None]
"""Takes where and what: notes that the dialect cannot say it. When it returns, the thing is left out."""

Block: TypeAlias = KnownBlock | Raw

IMAGE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
# What Anthropic does with an image anyway; "low" it cannot.
_DETAILS: Final = frozenset({None, "auto", "high", "original"})
_CITATIONS: Final = frozenset(
    {
        "char_location",
        "page_location",
        "content_block_location",
        "web_search_result_location",
        "search_result_location",
    }
)
_BROKEN_JSON: Final = "INVALID_JSON"
"""How Anthropic's guide to fine-grained tool streaming wraps arguments that are no JSON object."""


class _Typed(msgspec.Struct):
    type: str = ""


_BLOCKS: Final = msgspec.json.Decoder(KnownBlock)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_TYPED_LIST: Final = msgspec.json.Decoder(list[_Typed])


# --- reading -------------------------------------------------------------------------------------------------------


def read_block(raw: Raw, *, origin: str) -> Part:
    """``origin`` is who made the thinking in it. Raises ``msgspec.ValidationError`` for wrong types in a known block."""
    try:
        block = _BLOCKS.decode(raw)
    except msgspec.ValidationError as error:
        if _says_more(str(error)):
            return Opaque(dialect=DIALECT, raw=raw)
        raise
    return _part(block, origin=origin)


def _says_more(flaw: str) -> bool:
    """A field or a type that our types do not have, as against a wrong value in one they have."""
    return "unknown field" in flaw or (flaw.startswith("Invalid value") and flaw.endswith("type`"))


def _part(block: KnownBlock, *, origin: str) -> Part:
    match block:
        case TextBlock():
            return _text(block)
        case ImageBlock() | DocumentBlock():
            return _media(block)
        case ToolUseBlock():
            return ToolCall(
                id=block.id,
                name=block.name,
                arguments=bytes(block.input).decode(),
                cache=read_mark(block.cache_control),
            )
        case ToolResultBlock():
            return _tool_result(block)
        case ThinkingBlock():
            return read_thinking(block, origin=origin)
        case RedactedThinkingBlock():
            return read_redacted(block, origin=origin)


def read_mark(control: CacheControl | None) -> CacheMark | None:
    """The mark of a ``cache_control``."""
    return None if control is None else CacheMark(ttl=control.ttl)


def _text(block: TextBlock) -> Text:
    return Text(
        text=block.text,
        cache=read_mark(block.cache_control),
        annotations=block.citations if said(block.citations) and bytes(block.citations) != b"[]" else None,
    )


def _media(block: ImageBlock | DocumentBlock) -> Media:
    image = isinstance(block, ImageBlock)
    data, url, file_id, media_type = _source(block.source)
    return Media(
        kind=MediaKind.IMAGE if image else MediaKind.FILE,
        base64=data,
        url=url,
        file_id=file_id,
        media_type=media_type,
        filename=block.title if isinstance(block, DocumentBlock) else None,
        cache=read_mark(block.cache_control),
    )


def _source(source: DocumentSource) -> tuple[str | None, str | None, str | None, str | None]:
    match source:
        case Base64Source():
            return source.data, None, None, source.media_type
        case UrlSource():
            return None, source.url, None, None
        case FileSource():
            return None, None, source.file_id, None
        case TextSource():
            return base64.b64encode(source.data.encode()).decode(), None, None, source.media_type


def _tool_result(block: ToolResultBlock) -> ToolResult:
    content: tuple[Text | Media, ...]
    if isinstance(block.content, str):
        content = (Text(text=block.content),)
    else:
        content = tuple(_text(item) if isinstance(item, TextBlock) else _media(item) for item in block.content or ())
    return ToolResult(
        call_id=block.tool_use_id,
        content=content,
        is_error=block.is_error or False,
        cache=read_mark(block.cache_control),
    )


# --- writing -------------------------------------------------------------------------------------------------------


def control(mark: CacheMark | None) -> CacheControl | None:
    """The ``cache_control`` of a mark."""
    return None if mark is None else CacheControl(ttl=mark.ttl)


def write_part(part: Part, *, where: str, refuse: Refuse, native: bool) -> Block | None:
    """The block for a part, ``None`` where there is nothing to say. ``native`` is whether the parts were read from this
    dialect, so that stored files are files of this vendor. Reasoning is not for this function: see ``reasoning``."""
    match part:
        case Text():
            return write_text(part)
        case Refusal():
            return TextBlock(text=part.text) if part.text else None
        case Media():
            return write_media(part, where=where, refuse=refuse, native=native)
        case ToolCall():
            return write_tool_call(part)
        case ToolResult():
            return _write_tool_result(part, where=where, refuse=refuse, native=native)
        case Opaque():
            if part.dialect == DIALECT:
                return part.raw
            refuse(where, f"a part that only {part.dialect} understands")
            return None
        case Reasoning():
            raise AssertionError("reasoning is written by its own rules")


def write_text(part: Text) -> TextBlock | None:
    """``None`` for an empty text. Citations of other dialects have no counterpart and are left out."""
    if not part.text:
        return None
    return TextBlock(text=part.text, cache_control=control(part.cache), citations=citations(part.annotations))


def citations(annotations: Raw | None) -> Raw:
    """The annotations if they are Anthropic's, else nothing."""
    if annotations is None:
        return ABSENT
    try:
        entries = _TYPED_LIST.decode(annotations)
    except msgspec.ValidationError:
        return ABSENT
    return annotations if entries and all(entry.type in _CITATIONS for entry in entries) else ABSENT


def is_citation(annotation: Raw) -> bool:
    """Whether one annotation is of a kind that Anthropic's clients know."""
    return said(citations(Raw(b"[" + bytes(annotation) + b"]")))


def write_tool_call(part: ToolCall) -> ToolUseBlock:
    """``input`` must be an object: no arguments are ``{}``, and what is no JSON object is wrapped, not lost."""
    return ToolUseBlock(id=part.id, name=part.name, input=tool_input(part.arguments), cache_control=control(part.cache))


def tool_input(arguments: str) -> Raw:
    """The arguments as a JSON object, byte for byte where they are one."""
    text = arguments.strip()
    if text in ("", "null"):
        return Raw(b"{}")
    try:
        _OBJECT.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Raw(msgspec.json.encode({_BROKEN_JSON: arguments}))
    return Raw(text.encode())


def _write_tool_result(part: ToolResult, *, where: str, refuse: Refuse, native: bool) -> ToolResultBlock:
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None
    match part.content:
        case ():
            content = None
        case (Text(cache=None, annotations=None) as only,):
            content = only.text
        case several:
            content = []
            for at, item in enumerate(several):
                block = (
                    write_text(item)
                    if isinstance(item, Text)
                    else write_media(item, where=f"{where}.content[{at}]", refuse=refuse, native=native)
                )
                if block is not None:
                    content.append(block)
    return ToolResultBlock(
        tool_use_id=part.call_id,
        content=content,
        is_error=part.is_error or None,
        cache_control=control(part.cache),
    )


def write_media(part: Media, *, where: str, refuse: Refuse, native: bool) -> ImageBlock | DocumentBlock | None:
    """Images and documents; sound and video the API does not take."""
    if part.kind not in (MediaKind.IMAGE, MediaKind.FILE):
        refuse(where, f"{part.kind.value} input")
        return None
    if part.file_id is not None and not native:
        refuse(where, "a file in another provider's store")
        return None
    if part.kind is MediaKind.FILE:
        source = _document_source(part, where=where, refuse=refuse)
        return (
            None
            if source is None
            else DocumentBlock(source=source, title=part.filename, cache_control=control(part.cache))
        )
    if part.detail not in _DETAILS:
        refuse(f"{where}.detail", f"image detail {part.detail!r}")
    if part.base64 is not None and part.media_type not in IMAGE_TYPES:
        refuse(where, f"an image of type {part.media_type}; JPEG, PNG, GIF and WebP can be sent")
        return None
    image = _plain_source(part)
    if image is None:
        refuse(where, "an image without content")
        return None
    return ImageBlock(source=image, cache_control=control(part.cache))


def _plain_source(part: Media) -> Base64Source | UrlSource | FileSource | None:
    if part.base64 is not None:
        return Base64Source(media_type=part.media_type or "", data=part.base64)
    if part.url is not None:
        return UrlSource(url=part.url)
    return None if part.file_id is None else FileSource(file_id=part.file_id)


def _document_source(part: Media, *, where: str, refuse: Refuse) -> DocumentSource | None:
    if part.base64 is not None and part.media_type == "text/plain":
        try:
            return TextSource(data=base64.b64decode(part.base64, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            refuse(where, "a text document that is not base64 of UTF-8")
            return None
    if part.base64 is not None and part.media_type != "application/pdf":
        refuse(where, f"a document of type {part.media_type}; PDF and plain text can be sent")
        return None
    source = _plain_source(part)
    if source is None:
        refuse(where, "a document without content")
    return source
