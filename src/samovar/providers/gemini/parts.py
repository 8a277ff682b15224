"""Parts of a content to and from the neutral core's parts.

A part that the core cannot hold without loss (code that ran, a video with offsets, a server tool's trace, ...) becomes an
``Opaque`` part of this dialect, byte for byte.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from samovar.ports.llm import Media, MediaKind, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from samovar.providers.gemini.calls import Calls
from samovar.providers.gemini.reasoning import read_reasoning
from samovar.providers.gemini.spelling import PART, in_camel_case
from samovar.providers.gemini.wire import (
    DIALECT,
    Blob,
    FileData,
    FunctionCall,
    FunctionResponse,
    PartWire,
    said,
)

Refuse: TypeAlias = Callable[[str, str], None]
"""Takes where and what: notes that the dialect cannot say it. When it returns, the thing is left out."""

WirePart: TypeAlias = dict[str, Any] | Raw

_PARTS: Final = msgspec.json.Decoder(PartWire)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_KINDS: Final = ("text", "inline_data", "file_data", "function_call", "function_response")
_BROKEN_JSON: Final = "INVALID_JSON"
"""Where arguments that are no JSON object stand, because ``args`` must be one. (Anthropic's guide uses the same name.)"""
_PLAIN_DETAILS: Final = frozenset({None, "auto", "high", "original"})
_OWN_STORE: Final = ("https://generativelanguage.googleapis.com/", "gs://")
_SUFFIXES: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "webm": "video/webm",
}


# --- reading -------------------------------------------------------------------------------------------------------


def read_part(raw: Raw, *, origin: str, calls: Calls) -> tuple[Part, ...]:
    """One part, or two where a signature stands beside words or media, or none where nothing is said. ``origin`` is who
    made the thinking in it. Raises ``msgspec.ValidationError`` for wrong types in a known part."""
    wire = decode_part(raw)
    if wire is None:
        return (Opaque(dialect=DIALECT, raw=raw),)
    if wire.function_call is not None:
        return (read_call(wire.function_call, signature=wire.thought_signature, calls=calls),)
    if wire.thought and wire.text is not None:
        return (read_reasoning(wire.text, wire.thought_signature, origin=origin),)
    part = _content(wire, calls)
    parts: tuple[Part, ...] = () if part is None or part == Text(text="") else (part,)
    if wire.thought_signature is None:
        return parts
    return (*parts, read_reasoning("", wire.thought_signature, origin=origin))


def decode_part(raw: Raw) -> PartWire | None:
    """``None`` for a part that says more than the core can hold: it must be kept whole."""
    try:
        wire = _decoded(raw)
    except msgspec.ValidationError as error:
        if _says_more(error):
            return None
        raise
    kinds = sum(getattr(wire, kind) is not None for kind in _KINDS)
    thought_of_other_kind = wire.thought and wire.text is None
    return None if kinds > 1 or thought_of_other_kind else wire


def _decoded(raw: Raw) -> PartWire:
    try:
        return _PARTS.decode(raw)
    except msgspec.ValidationError as error:
        respelt = in_camel_case(raw, PART) if _says_more(error) else raw
        if respelt is raw:
            raise
    return _PARTS.decode(respelt)


def _says_more(error: msgspec.ValidationError) -> bool:
    """A field that our types do not have, as against a wrong value in one they have."""
    return "unknown field" in str(error)


def read_call(wire: FunctionCall, *, signature: str | None, calls: Calls) -> ToolCall:
    """A whole call."""
    name = wire.name or ""
    arguments = bytes(wire.args).decode() if said(wire.args) else "{}"
    return ToolCall(id=calls.asked(name, wire.id), name=name, arguments=arguments, signature=signature)


def _content(wire: PartWire, calls: Calls) -> Part | None:
    if wire.text is not None:
        return Text(text=wire.text)
    if wire.function_response is not None:
        return _result(wire.function_response, calls)
    if wire.inline_data is not None:
        return _inline(wire.inline_data)
    return None if wire.file_data is None else _file(wire.file_data)


def _inline(blob: Blob) -> Media:
    data = blob.data
    if "-" in data or "_" in data:
        # Google takes the URL's alphabet too, and its SDK writes it; others take only the plain one.
        data = data.replace("-", "+").replace("_", "/")
    return Media(kind=_kind(blob.mime_type), base64=data, media_type=blob.mime_type or None, filename=blob.display_name)


def _file(file: FileData) -> Media:
    stored = file.file_uri.startswith(_OWN_STORE)
    return Media(
        kind=_kind(file.mime_type or _guessed(file.file_uri) or ""),
        url=None if stored else file.file_uri,
        file_id=file.file_uri if stored else None,
        media_type=file.mime_type,
        filename=file.display_name,
    )


def _kind(media_type: str) -> MediaKind:
    family = media_type.partition("/")[0]
    return MediaKind(family) if family in ("image", "audio", "video") else MediaKind.FILE


def _guessed(url: str) -> str | None:
    path = url.partition("?")[0].partition("#")[0]
    return _SUFFIXES.get(path.rpartition(".")[2].lower())


def _result(wire: FunctionResponse, calls: Calls) -> ToolResult:
    text, is_error = _output(wire.response)
    content: list[Text | Media] = [] if text is None else [Text(text=text)]
    for media in wire.parts or ():
        if media.inline_data is not None:
            content.append(_inline(media.inline_data))
        elif media.file_data is not None:
            content.append(_file(media.file_data))
    return ToolResult(
        call_id=calls.answered(wire.name, wire.id), content=tuple(content), is_error=is_error, name=wire.name
    )


def _output(response: Raw) -> tuple[str | None, bool]:
    """``output`` and ``error`` are the keys that the API names; any other object is the output itself."""
    if not said(response):
        return None, False
    fields = _OBJECT.decode(response)
    if len(fields) == 1:
        for key in ("output", "error"):
            if key in fields:
                return _as_text(fields[key]), key == "error"
    return bytes(response).decode(), False


def _as_text(raw: Raw) -> str:
    text = bytes(raw).decode()
    return msgspec.json.decode(raw, type=str) if text.startswith('"') else text


# --- writing -------------------------------------------------------------------------------------------------------


def write_part(part: Part, *, where: str, refuse: Refuse, native: bool, names: Mapping[str, str]) -> WirePart | None:
    """The part on the wire, ``None`` where there is nothing to say. ``native`` is whether the parts were read from this
    dialect, so that stored files are files of this vendor; ``names`` are the tools' names by call id. Reasoning is not for
    this function: see ``reasoning``."""
    match part:
        case Text() | Refusal():
            # Citations of other dialects have no counterpart, and what is cached Gemini decides itself.
            return {"text": part.text} if part.text else None
        case Media():
            return write_media(part, where=where, refuse=refuse, native=native)
        case ToolCall():
            return write_call(part)
        case ToolResult():
            return _write_result(part, where=where, refuse=refuse, native=native, names=names)
        case Opaque():
            if part.dialect == DIALECT:
                return part.raw
            refuse(where, f"a part that only {part.dialect} understands")
            return None
        case Reasoning():
            raise AssertionError("reasoning is written by its own rules")


def write_call(part: ToolCall) -> dict[str, Any]:
    """The call with its signature beside it. An id that we made up is ours alone."""
    call: dict[str, Any] = {"name": part.name, "args": call_args(part.arguments)}
    if not Calls.is_made_up(part.id):
        call["id"] = part.id
    wire: dict[str, Any] = {"functionCall": call}
    if part.signature is not None:
        wire["thoughtSignature"] = part.signature
    return wire


def call_args(arguments: str) -> Raw:
    """The arguments as a JSON object, byte for byte where they are one; what is none is wrapped, not lost."""
    text = arguments.strip()
    if text in ("", "null"):
        return Raw(b"{}")
    return Raw(text.encode()) if _is_object(text) else Raw(msgspec.json.encode({_BROKEN_JSON: arguments}))


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        _OBJECT.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _write_result(
    part: ToolResult, *, where: str, refuse: Refuse, native: bool, names: Mapping[str, str]
) -> dict[str, Any] | None:
    name = part.name or names.get(part.call_id)
    if name is None:
        refuse(
            where,
            f"the result of call {part.call_id!r}: no such call stands before it, and Gemini needs the tool's name",
        )
        return None
    texts = [item.text for item in part.content if isinstance(item, Text)]
    media: list[dict[str, Any]] = []
    for at, item in enumerate(part.content):
        if isinstance(item, Media):
            written = write_media(item, where=f"{where}.content[{at}]", refuse=refuse, native=native)
            if written is not None:
                media.append(written)
    result: dict[str, Any] = {"name": name, "response": _response("\n".join(texts), is_error=part.is_error)}
    if not Calls.is_made_up(part.call_id):
        result["id"] = part.call_id
    if media:
        result["parts"] = media
    return {"functionResponse": result}


def _response(text: str, *, is_error: bool) -> Raw | dict[str, Any]:
    value: Raw | str = Raw(text.strip().encode()) if _is_object(text.strip()) else text
    if is_error:
        return {"error": value}
    return value if isinstance(value, Raw) else {"output": value}


def write_media(part: Media, *, where: str, refuse: Refuse, native: bool) -> dict[str, Any] | None:
    """``inlineData`` or ``fileData``."""
    if part.detail not in _PLAIN_DETAILS:
        refuse(f"{where}.detail", f"image detail {part.detail!r}")
    if part.file_id is not None and not native and not part.file_id.startswith(_OWN_STORE):
        refuse(where, "a file in another provider's store")
        return None
    name = {} if part.filename is None else {"displayName": part.filename}
    if part.base64 is not None:
        if not part.media_type:
            refuse(where, "content without a media type")
            return None
        return {"inlineData": {"mimeType": part.media_type, "data": part.base64, **name}}
    uri = part.url or part.file_id
    if uri is None:
        refuse(where, f"{part.kind.value} without content")
        return None
    media_type = part.media_type or _guessed(uri)
    return {"fileData": {**({} if media_type is None else {"mimeType": media_type}), "fileUri": uri, **name}}


def sign_last(parts: list[WirePart], signature: dict[str, Any]) -> None:
    """Puts a signature without words beside the part it belongs to, which is the one before it, or in a part of its own."""
    last = parts[-1] if parts else None
    signable = isinstance(last, dict) and not last.keys() & {"thoughtSignature", "thought", "functionCall"}
    if isinstance(last, dict) and signable and not signature["text"] and "thought" not in signature:
        last["thoughtSignature"] = signature["thoughtSignature"]
    else:
        parts.append(signature)
