"""Messages of the neutral core, written as OpenAI chat wants them."""

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import Quirks
from samovar.ports.foreign_reasoning import lost_elsewhere
from samovar.ports.llm import (
    CacheMark,
    ChatRequest,
    Media,
    MediaKind,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from samovar.providers.openai.parts import audio_format, media_url, reasoning_details, tool_call_json
from samovar.providers.openai.wire import DIALECT

Json = dict[str, object]


class MessageWriter:
    """Writes one request's messages and gathers what cannot be said in ``flaws``; the rest is written without it."""

    def __init__(self, *, quirks: Quirks, own_dialect: bool) -> None:
        self._quirks = quirks
        self._own = own_dialect
        self.flaws: list[Flaw] = []

    def messages(self, request: ChatRequest) -> list[object]:
        """Tool results first: OpenAI wants them right after the calls they answer."""
        written: list[object] = []
        for index, message in enumerate(request.messages):
            where = f"messages[{index}]"
            if message.role is Role.ASSISTANT:
                written.append(self._assistant(message, where))
            else:
                written += self._said(message, where)
        return written

    # -- system, developer, user, tool

    def _said(self, message: Message, where: str) -> list[object]:
        written: list[object] = []
        content: list[object] = []
        further: Json = {}
        for index, part in enumerate(message.parts):
            place = f"{where}.parts[{index}]"
            if isinstance(part, ToolResult):
                written.append(self._tool_result(part, place))
            elif isinstance(part, Opaque):
                whole = self._opaque(part, place, content, further)
                written += whole
            else:
                content += self._content(part, place)
        if content or further:
            body: Json = {"role": self._role(message.role), "content": _joined(content), **further}
            if message.name is not None:
                body["name"] = message.name
            written.append(body)
        return written

    def _role(self, role: Role) -> str:
        return "system" if role is Role.DEVELOPER and not self._quirks.developer_role else role.value

    def _tool_result(self, result: ToolResult, where: str) -> Json:
        # ``is_error`` has no member of its own here; the result's text says what went wrong.
        content: list[object] = []
        for index, part in enumerate(result.content):
            if isinstance(part, Text):
                content.append(self._text(part))
            elif not self._own:
                self._flaw(
                    f"{where}.content[{index}]",
                    f"a tool's result holds text alone here, no {part.kind.value}; say it in a message of the user",
                )
            else:
                content += self._media(part, f"{where}.content[{index}]")
        body: Json = {"role": "tool", "tool_call_id": result.call_id, "content": _joined(content)}
        if result.name is not None and self._own:
            body["name"] = result.name
        return body

    # -- assistant

    def _assistant(self, message: Message, where: str) -> object:
        content: list[object] = []
        calls: list[object] = []
        further: Json = {}
        for index, part in enumerate(message.parts):
            place = f"{where}.parts[{index}]"
            if isinstance(part, ToolCall):
                calls.append(tool_call_json(part, signed=self._quirks.call_signatures))
            elif isinstance(part, Refusal):
                further["refusal"] = part.text
            elif isinstance(part, Opaque):
                self._opaque(part, place, content, further, calls)
            elif isinstance(part, ToolResult | Media):
                self._flaw(place, "the assistant's own messages hold neither media nor tool results")
            else:
                content += self._content(part, place)
        further |= self._thinking(message, where)
        if calls:
            further["tool_calls"] = calls
        if message.name is not None:
            further["name"] = message.name
        return {"role": "assistant", "content": _joined(content) if content else None, **further}

    def _thinking(self, message: Message, where: str) -> Json:
        field = self._quirks.reasoning_field
        # Only OpenRouter takes signed or encrypted thinking back.
        proofs = self._quirks.reasoning_switch == "openrouter"
        parts: list[Reasoning] = []
        for index, part in enumerate(message.parts):
            if isinstance(part, Reasoning):
                parts.append(part)
                lost = None if proofs else lost_elsewhere(part)
                if lost is not None:
                    self._flaw(f"{where}.parts[{index}]", lost)
        if field is None or not parts:
            return {}
        text = "".join(part.text for part in parts)
        said: Json = {field: text} if text else {}
        details = [detail for part in parts for detail in reasoning_details(part)]
        if details and proofs:
            said["reasoning_details"] = details
        return said

    # -- parts

    def _content(self, part: Part, where: str) -> list[object]:
        if isinstance(part, Text):
            return [self._text(part)]
        if isinstance(part, Media):
            return self._media(part, where)
        if not isinstance(part, Reasoning):  # thinking is the assistant's, and stands elsewhere
            self._flaw(where, "this part cannot stand in a message of this role")
        return []

    def _text(self, part: Text) -> Json:
        return {"type": "text", "text": part.text, **self._cache(part.cache)}

    def _media(self, media: Media, where: str) -> list[object]:
        write = _MEDIA[media.kind]
        if media.kind is MediaKind.VIDEO and "video_url" in self._quirks.rejects:
            body: Json | str = "the provider takes no video"
        else:
            body = write(media)
        if isinstance(body, str):
            self._flaw(where, body)
            return []
        return [{**body, **self._cache(media.cache)}]

    def _cache(self, mark: CacheMark | None) -> Json:
        """A mark is a hint, and most vendors cache by themselves: it goes only where it is known to be understood."""
        if mark is None or self._quirks.reasoning_switch != "openrouter":
            return {}
        return {"cache_control": {"type": "ephemeral"} | ({} if mark.ttl is None else {"ttl": mark.ttl})}

    def _opaque(
        self,
        part: Opaque,
        where: str,
        content: list[object],
        further: Json,
        calls: list[object] | None = None,
    ) -> list[object]:
        """Puts the part where it came from (see the package); returns it where it is a whole message."""
        if part.dialect != DIALECT:
            self._flaw(where, f"a part that only {part.dialect} understands")
            return []
        fields = msgspec.json.decode(part.raw, type=dict[str, Raw])
        if "role" in fields:
            return [part.raw]
        if "type" not in fields:
            further.update(fields)
        elif calls is not None and "id" in fields:
            calls.append(part.raw)
        else:
            content.append(part.raw)
        return []

    def _flaw(self, where: str, what: str) -> None:
        self.flaws.append(Flaw(where, what))


def _joined(content: list[object]) -> object:
    """A single plain text as a string, which every server understands."""
    if not content:
        return ""
    first = content[0]
    if len(content) == 1 and isinstance(first, dict) and first.get("type") == "text" and len(first) == 2:
        return first["text"]
    return content


def _image(media: Media) -> Json | str:
    url = media_url(media)
    if url is None:
        return "an image must come with its bytes or by URL: a stored file's id is not taken"
    link = {"url": url} if media.detail is None else {"url": url, "detail": media.detail}
    return {"type": "image_url", "image_url": link}


def _video(media: Media) -> Json | str:
    url = media_url(media)
    if url is None:
        return "a video must come with its bytes or by URL: a stored file's id is not taken"
    return {"type": "video_url", "video_url": {"url": url}}


def _audio(media: Media) -> Json | str:
    if media.base64 is None:
        return "sound must come with its bytes: neither a URL nor a stored file's id is taken"
    sound = {"data": media.base64, "format": audio_format(media.media_type or "audio/wav")}
    return {"type": "input_audio", "input_audio": sound}


def _file(media: Media) -> Json | str:
    if media.url is not None:
        return "a file must come with its bytes or as a stored file's id: a URL is not taken"
    file: Json = {"file_data": media_url(media)} if media.base64 is not None else {"file_id": media.file_id}
    if media.filename is not None:
        file["filename"] = media.filename
    return {"type": "file", "file": file}


_MEDIA: Mapping[MediaKind, Callable[[Media], Json | str]] = {
    MediaKind.IMAGE: _image,
    MediaKind.VIDEO: _video,
    MediaKind.AUDIO: _audio,
    MediaKind.FILE: _file,
}
