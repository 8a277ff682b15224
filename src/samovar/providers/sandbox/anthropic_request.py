"""The body of Anthropic's messages, read. The endpoints that speak this format share it.

https://docs.claude.com/en/api/messages, /en/api/messages-count-tokens.
"""

import base64
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from samovar.providers.sandbox.ask import Ask, Image, ToolSpec, compact
from samovar.providers.sandbox.errors import bad_request
from samovar.providers.sandbox.surface import named

_SIGNING_KEY: Final = b"samovar-sandbox-thinking"

_NO_SYSTEM_TURNS: Final = re.compile(r"claude-(?:[a-z]+-)?(?:v?[1-3]|4(?!-(?:[89]|\d\d)(?!\d)))\b|claude-instant")
"""Models that came before Claude Opus 4.8."""
_NOTHING: Final = msgspec.Raw()
"""What a field that may be absent is read as: msgspec cannot read a union of ``Raw`` with another type."""


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class _Cache(msgspec.Struct):
    type: str = "ephemeral"


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    source: msgspec.Raw = _NOTHING
    content: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    thinking: str = ""
    signature: str = ""
    cache_control: _Cache | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    name: str
    input_schema: msgspec.Raw = _NOTHING
    description: str = ""
    cache_control: _Cache | None = None


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = _NOTHING


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _MessagesRequest(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    system: str | list[_Block] | None = None
    stream: bool | None = False
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    stop_sequences: list[str] | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None


_decoder: Final = msgspec.json.Decoder(_MessagesRequest)
_source_decoder: Final = msgspec.json.Decoder(_Source)
_result_decoder: Final = msgspec.json.Decoder(str | list[_Block])


def read_messages(headers: Mapping[bytes, bytes], body: bytes) -> Ask:
    """What a messages body asks. Raises ``Refused`` (400)."""
    ask = read_prompt(headers, body)
    if ask.max_tokens is None:
        raise bad_request("max_tokens: Field required")
    if ask.max_tokens < 1:
        raise bad_request(f"max_tokens: must be greater than or equal to 1, got {ask.max_tokens}")
    return ask


def read_prompt(headers: Mapping[bytes, bytes], body: bytes) -> Ask:
    """What a body without need of ``max_tokens`` asks. Raises ``Refused`` (400)."""
    if b"anthropic-version" not in headers:
        raise bad_request("anthropic-version: header is required")
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad_request(_field_message(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"The request body is not valid JSON: {error}") from error
    if not request.messages:
        raise bad_request("messages: at least one message is required")
    return _Reading(request, blake2b(body, digest_size=12).hexdigest()).ask


def signature(thinking: str) -> str:
    """The proof that the sandbox thought this: it refuses thinking that comes back with another."""
    mac = blake2b(thinking.encode("utf-8", "replace"), digest_size=48, key=_SIGNING_KEY)
    return base64.b64encode(mac.digest()).decode()


def _field_message(error: str) -> str:
    """msgspec's message in the vendor's form: ``max_tokens: Field required``."""
    if "missing required field" in error:
        field = error.split("`")[1]
        return f"{field}: Field required"
    what, _, where = error.partition(" - at `$")
    return f"{where.strip('`. ') or 'body'}: {what}"


class _Reading:
    """Reads one request into an :class:`Ask`, in the order in which the vendor's cache sees it: tools, system, messages."""

    def __init__(self, request: _MessagesRequest, digest: str) -> None:
        model, suffix = named(request.model)
        self._marks: list[int] = []
        self.ask = Ask(model=model, digest=digest, user_text="", said=[], suffix=suffix, stream=bool(request.stream))
        self._tools(request)
        if isinstance(request.system, str):
            self.ask.said.append(request.system)
        else:
            for block in request.system or ():
                self._say(block.text, block.cache_control)
        for number, message in enumerate(request.messages):
            if message.role == "system":
                self._check_system(number, request.messages)
            self._message(number, message)
        self._settings(request)
        self.ask.marks = tuple(self._marks)

    def _say(self, text: str, cache: _Cache | None) -> None:
        self.ask.said.append(text)
        if cache is not None:
            self._marks.append(len(self.ask.said))

    def _tools(self, request: _MessagesRequest) -> None:
        if not request.tools:
            return
        tools = []
        for tool in request.tools:
            schema = bytes(tool.input_schema)
            tools.append(ToolSpec(tool.name, schema))
            self._say(f"{tool.name}{tool.description}{compact(schema)}", tool.cache_control)
        self.ask.tools = tuple(tools)
        choice = request.tool_choice
        if choice is not None:
            self.ask.tools_allowed = choice.type != "none"
            self.ask.parallel_allowed = not choice.disable_parallel_tool_use
            if choice.type == "tool":
                self.ask.tool_name = choice.name
                if all(tool.name != choice.name for tool in tools):
                    raise bad_request(f"Tool '{choice.name}' not found in provided tools", param="tool_choice")

    def _message(self, number: int, message: _Message) -> None:
        ask = self.ask
        if message.role not in {"user", "assistant", "system"}:
            raise bad_request("Input should be 'user', 'assistant' or 'system'", param=f"messages.{number}.role")
        content = message.content
        text, images, results = self._blocks(number, [_Block("text", content)] if isinstance(content, str) else content)
        if message.role == "user":
            ask.results = results
            if text or images or not results:
                ask.user_text, ask.images = text, images
        elif message.role == "assistant":
            ask.results = ()

    def _check_system(self, number: int, messages: list[_Message]) -> None:
        """Opus 4.8 and later, after the user's and before an answer (*Mid-conversation system messages*)."""
        where = f"messages.{number}"
        if _NO_SYSTEM_TURNS.match(self.ask.model):
            raise bad_request(f"{where}: role 'system' is not supported on this model")
        if number == 0:
            raise bad_request(f"{where}: use the top-level 'system' parameter for the initial system prompt")
        after = messages[number + 1].role if number + 1 < len(messages) else "assistant"
        if messages[number - 1].role != "user" or after != "assistant":
            raise bad_request(
                f"{where}: a system message must follow a user message and be last or precede an assistant's"
            )

    def _blocks(self, number: int, blocks: list[_Block]) -> tuple[str, tuple[Image, ...], tuple[str, ...]]:
        texts: list[str] = []
        images: list[Image] = []
        results: list[str] = []
        for at, block in enumerate(blocks):
            where = f"messages.{number}.content.{at}"
            result = self._result(block, where) if block.type == "tool_result" else None
            self._say(result or block.text or block.thinking, block.cache_control)
            if block.type == "text":
                texts.append(block.text)
            elif block.type == "image":
                images.append(_image(block, where))
                self.ask.image_count += 1
            elif result is not None:
                results.append(result)
            elif block.type == "tool_use":
                self.ask.said.append(bytes(block.input).decode("utf-8", "replace"))
            elif block.type == "thinking" and block.signature != signature(block.thinking):
                raise bad_request(f"{where}: Invalid `signature` in `thinking` block")
        return " ".join(texts), tuple(images), tuple(results)

    def _result(self, block: _Block, where: str) -> str:
        if bytes(block.content) in {b"", b"null"}:
            return ""
        try:
            content = _result_decoder.decode(block.content)
        except msgspec.ValidationError as error:
            raise bad_request(f"{where}.{_field_message(str(error))}") from error
        return content if isinstance(content, str) else " ".join(part.text for part in content if part.type == "text")

    def _settings(self, request: _MessagesRequest) -> None:
        self.ask.max_tokens = request.max_tokens
        self.ask.stop = tuple(filter(None, (request.stop_sequences or ())[:64]))
        self.ask.reasoning_allowed = request.thinking is None or request.thinking.type != "disabled"
        wanted = request.output_config.format if request.output_config is not None else None
        wanted = wanted or request.output_format
        if wanted is not None and wanted.type == "json_schema":
            self.ask.schema = bytes(wanted.schema)


def _image(block: _Block, where: str) -> Image:
    try:
        source = _source_decoder.decode(block.source)
    except msgspec.DecodeError as error:
        raise bad_request("Field required", param=f"{where}.image.source") from error
    if source.type == "base64" and source.data is not None and source.media_type is not None:
        return Image(where=f"{where}.image.source.base64", base64=source.data, media_type=source.media_type)
    if source.type == "url" and source.url is not None:
        return Image(where=f"{where}.image.source.url", url=source.url)
    raise bad_request("Input should be a base64 or url source", param=f"{where}.image.source")
