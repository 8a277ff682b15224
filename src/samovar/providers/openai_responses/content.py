"""The content of messages and of tools' results, to and from the neutral core's parts."""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from samovar.ports.json_requests import flawed
from samovar.ports.llm import CacheMark, Media, MediaKind, Refusal, Text
from samovar.providers.openai_responses.wire import (
    Breakpoint,
    Content,
    InputAudio,
    InputFile,
    InputImage,
    InputText,
    OutputText,
    RefusalContent,
    said,
)

Json: TypeAlias = dict[str, Any]
Refuse: TypeAlias = Callable[[str, str], None]
"""Takes where and what: notes that the dialect cannot say it. When it returns, the thing is left out."""

_SCHEMES: Final = ("https://", "http://", "data:")
_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_PDF: Final = "application/pdf"
_EXTENSIONS: Final = {_PDF: "pdf", "text/plain": "txt", "text/csv": "csv", "text/markdown": "md"}
_ANNOTATIONS: Final = frozenset({"url_citation", "file_citation", "container_file_citation", "file_path"})
_TTLS: Final = frozenset({None, "30m", "12h"})
_RAW_LIST: Final = msgspec.json.Decoder(list[Raw])
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])

# --- reading --------------------------------------------------------------------------------------------------------


def read_content(
    content: str | Iterable[Content], *, where: str, phase: str | None = None
) -> list[Text | Media | Refusal]:
    """Raises ``Malformed`` for a picture or file that is nowhere."""
    if isinstance(content, str):
        return [Text(text=content, phase=phase)]
    return [_read(part, where=f"{where}[{at}]", phase=phase) for at, part in enumerate(content)]


def _read(part: Content, *, where: str, phase: str | None) -> Text | Media | Refusal:
    match part:
        case InputText():
            return Text(text=part.text, cache=_mark(part.prompt_cache_breakpoint), phase=phase)
        case OutputText():
            return read_output_text(part, phase=phase)
        case RefusalContent():
            return Refusal(text=part.refusal)
        case InputImage():
            return _image(part, where=where)
        case InputFile():
            return _file(part, where=where)
        case InputAudio():
            sound = part.input_audio
            media_type = "audio/mpeg" if sound.format == "mp3" else f"audio/{sound.format}"
            mark = _mark(part.prompt_cache_breakpoint)
            return Media(kind=MediaKind.AUDIO, base64=sound.data, media_type=media_type, cache=mark)


def read_output_text(part: OutputText, *, phase: str | None) -> Text:
    """Log probabilities have no place in the core."""
    listed = said(part.annotations) and bytes(part.annotations) != b"[]"
    return Text(
        text=part.text,
        cache=_mark(part.prompt_cache_breakpoint),
        annotations=part.annotations.copy() if listed else None,
        phase=phase,
    )


def _mark(breakpoint_: Breakpoint | None) -> CacheMark | None:
    return None if breakpoint_ is None else CacheMark(ttl=breakpoint_.ttl)


def _image(part: InputImage, *, where: str) -> Media:
    mark = _mark(part.prompt_cache_breakpoint)
    if part.image_url is None:
        if part.file_id is None:
            raise flawed(where, "expected image_url or file_id")
        return Media(kind=MediaKind.IMAGE, file_id=part.file_id, detail=part.detail, cache=mark)
    if not part.image_url[:8].lower().startswith(_SCHEMES):
        raise flawed(f"{where}.image_url", "expected an http, https or data URL")
    split = _data_url(part.image_url)
    if split is None:
        return Media(kind=MediaKind.IMAGE, url=part.image_url, detail=part.detail, cache=mark)
    return Media(kind=MediaKind.IMAGE, base64=split[1], media_type=split[0], detail=part.detail, cache=mark)


def _file(part: InputFile, *, where: str) -> Media:
    mark = _mark(part.prompt_cache_breakpoint)
    if part.file_data is not None:
        # Bare base64 is taken too, and then only PDF can be meant.
        media_type, data = _data_url(part.file_data) or (_PDF, part.file_data)
        return Media(
            kind=MediaKind.FILE,
            base64=data,
            media_type=media_type,
            filename=part.filename,
            detail=part.detail,
            cache=mark,
        )
    if part.file_id is None and part.file_url is None:
        raise flawed(where, "expected file_data, file_url or file_id")
    return Media(
        kind=MediaKind.FILE,
        url=part.file_url if part.file_id is None else None,
        file_id=part.file_id,
        filename=part.filename,
        detail=part.detail,
        cache=mark,
    )


def _data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64) of a base64 data URL (RFC 2397), ``None`` for any other."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        return None
    return head[5:].split(";", 1)[0].lower() or "application/octet-stream", data


# --- writing --------------------------------------------------------------------------------------------------------


def input_text(part: Text, *, native: bool) -> Json:
    """Words of anybody but the model."""
    return {"type": "input_text", "text": part.text, **_breakpoint(part.cache, native=native)}


def _breakpoint(mark: CacheMark | None, *, native: bool) -> Json:
    # OpenAI caches by itself: another dialect's mark is a hint that models before GPT-5.6 would refuse.
    if mark is None or not native or mark.ttl not in _TTLS:
        return {}
    return {"prompt_cache_breakpoint": Breakpoint(mode="explicit", ttl=mark.ttl)}


def output_text(part: Text) -> Json:
    """Words of the model, as they stand in an answer."""
    return {"type": "output_text", "text": part.text, "annotations": annotations(part.annotations), "logprobs": []}


def annotations(raw: Raw | None) -> list[object]:
    """Those of a list that OpenAI's clients know; citations of other dialects have no counterpart and are left out."""
    if raw is None:
        return []
    try:
        entries = _RAW_LIST.decode(raw)
    except msgspec.ValidationError:
        return []
    return [known for entry in entries if (known := annotation(entry)) is not None]


def annotation(raw: Raw) -> object | None:
    """One annotation, ``None`` if it is none of OpenAI's. Chat nests what stands flat here."""
    try:
        fields = _FIELDS.decode(raw)
        kind = msgspec.json.decode(fields.get("type", Raw(b'""')), type=str)
    except msgspec.ValidationError:
        return None
    if kind not in _ANNOTATIONS:
        return None
    nested = fields.get(kind)
    return raw if nested is None else {"type": kind, **_FIELDS.decode(nested)}


def input_media(part: Media, *, where: str, refuse: Refuse, native: bool) -> Json | None:
    """``None``, after saying so, for what cannot be sent. ``native``: the parts were read from this dialect, so that
    stored files are files of this vendor."""
    if part.file_id is not None and not native:
        refuse(where, "a file in another provider's store")
        return None
    match part.kind:
        case MediaKind.IMAGE:
            body = _image_json(part)
        case MediaKind.FILE:
            body = _file_json(part)
        case MediaKind.AUDIO if part.base64 is not None:
            body = {
                "type": "input_audio",
                "input_audio": {"data": part.base64, "format": _format(part.media_type or "")},
            }
        case _:
            refuse(where, f"{part.kind.value} input" + (" by URL" if part.kind is MediaKind.AUDIO else ""))
            return None
    return {**body, **_breakpoint(part.cache, native=native)}


def _format(media_type: str) -> str:
    return _AUDIO_FORMATS.get(media_type, media_type.removeprefix("audio/"))


def _image_json(part: Media) -> Json:
    fields = {"file_id": part.file_id, "image_url": _url(part), "detail": part.detail}
    return {"type": "input_image", **{name: value for name, value in fields.items() if value is not None}}


def _url(part: Media) -> str | None:
    if part.base64 is not None:
        return f"data:{part.media_type or 'application/octet-stream'};base64,{part.base64}"
    return part.url


def _file_json(part: Media) -> Json:
    body: Json = {"type": "input_file"}
    if part.base64 is not None:
        # The API wants a name with the bytes.
        body["filename"] = part.filename or f"file.{_EXTENSIONS.get(part.media_type or _PDF, 'bin')}"
        body["file_data"] = _url(part)
    elif part.file_id is not None:
        body["file_id"] = part.file_id
    else:
        body["file_url"] = part.url
    if part.filename is not None and part.base64 is None and part.file_id is None:
        body["filename"] = part.filename
    if part.detail is not None:
        body["detail"] = part.detail
    return body
