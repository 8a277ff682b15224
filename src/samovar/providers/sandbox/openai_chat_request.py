"""The body of OpenAI's chat completions, read. The endpoints that speak this format share it.

https://platform.openai.com/docs/api-reference/chat.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from samovar.providers.sandbox.anthropic_request import signature
from samovar.providers.sandbox.ask import Ask, Image, ToolSpec, compact
from samovar.providers.sandbox.errors import Problem, Refused, bad_request
from samovar.providers.sandbox.surface import named

_NOTHING: Final = msgspec.Raw()
"""What a field that may be absent is read as: msgspec cannot read a union of ``Raw`` with another type."""


class _ImageUrl(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    type: str
    text: str = ""
    image_url: _ImageUrl | None = None


class _Detail(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: msgspec.Raw = _NOTHING
    reasoning_details: list[_Detail] | None = None
    """OpenRouter's."""


class _Function(msgspec.Struct):
    name: str
    parameters: msgspec.Raw = _NOTHING
    description: str = ""


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _NamedChoice(msgspec.Struct):
    function: _Function | None = None


class _JsonSchema(msgspec.Struct):
    schema: msgspec.Raw = _NOTHING


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Thinking(msgspec.Struct):
    type: str = "enabled"


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    enabled: bool | None = None


class _ChatRequest(msgspec.Struct):
    messages: list[_Message]
    model: str
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    thinking: _Thinking | None = None
    """BigModel's and DeepSeek's switch."""
    reasoning: _Reasoning | None = None
    """OpenRouter's."""
    n: int | None = None


_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decoder: Final = msgspec.json.Decoder(_ChatRequest)


def read_chat(body: bytes, *, known: frozenset[str] | None = None) -> Ask:
    """What a chat completions body asks. Raises ``Refused`` (400; 422 for a field that is not among the ``known``)."""
    try:
        if known is not None and (strange := _FIELDS.decode(body).keys() - known):
            message = f"Extra inputs are not permitted: {sorted(strange)[0][:50]!r}"
            raise Refused(Problem(status=422, message=message, param=sorted(strange)[0][:50]))
        request = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"We could not parse the JSON body of your request: {error}") from error
    if not request.messages:
        raise bad_request("[] is too short - 'messages'", param="messages", code="empty_array")
    if request.n not in {None, 1}:
        raise bad_request("The sandbox answers with one choice: 'n' must be 1.", param="n")
    return _ask(request, blake2b(body, digest_size=12).hexdigest())


def _ask(request: _ChatRequest, digest: str) -> Ask:
    model, suffix = named(request.model)
    ask = Ask(model=model, digest=digest, user_text="", said=[], suffix=suffix, stream=bool(request.stream))
    ask.wants_usage = request.stream_options is not None and request.stream_options.include_usage
    if request.tools:
        _read_tools(ask, request)
    for number, message in enumerate(request.messages):
        _read_message(ask, number, message)
    _read_settings(ask, request)
    return ask


def _read_message(ask: Ask, number: int, message: _Message) -> None:
    content = message.content
    if isinstance(content, str):
        text = content
        ask.said.append(text)
    else:
        text = _read_parts(ask, number, message.role, content or [])
    if message.role == "user":
        ask.user_text, ask.results = text, ()
    elif message.role == "tool":
        ask.results = (*ask.results, text)
    elif message.role == "assistant":
        ask.results = ()
        for detail in message.reasoning_details or ():
            if detail.signature is not None and detail.signature != signature(detail.text):
                raise bad_request("Invalid `signature` in `thinking` block", param=f"messages[{number}]")
        ask.said.append(bytes(message.tool_calls).decode("utf-8", "replace"))
    elif message.role not in {"system", "developer", "function"}:
        raise bad_request(
            f"Invalid value: {message.role[:50]!r}.", param=f"messages[{number}].role", code="invalid_value"
        )


def _read_parts(ask: Ask, number: int, role: str, parts: list[_Part]) -> str:
    texts: list[str] = []
    images: list[Image] = []
    for at, part in enumerate(parts):
        where = f"messages[{number}].content[{at}]"
        if part.type == "text":
            texts.append(part.text)
        elif part.type == "image_url":
            if part.image_url is None:
                raise bad_request("Missing required parameter: 'image_url'.", param=f"{where}.image_url")
            images.append(data_image(part.image_url.url, f"{where}.image_url"))
        elif part.type not in {"refusal", "input_audio", "file", "thinking"}:
            raise bad_request(f"Invalid value: {part.type[:50]!r}.", param=f"{where}.type", code="invalid_value")
    ask.said.extend(texts)
    ask.image_count += len(images)
    if role == "user":
        ask.images = tuple(images)
    return " ".join(texts)


def data_image(url: str, where: str) -> Image:
    """The image behind ``url``, a data URL or an address. Raises ``Refused`` (400) for a data URL of nothing like an image."""
    if not url.startswith("data:"):
        return Image(where=where, url=url)
    head, comma, data = url.partition(",")
    media_type, _, encoding = head.removeprefix("data:").partition(";")
    if not comma or encoding != "base64" or not media_type.startswith("image/"):
        raise bad_request(
            "Invalid image_url: expected data:image/...;base64,...", param=where, code="invalid_image_url"
        )
    # OpenAI looks at the bytes, not at the type that the data URL claims.
    return Image(where=where, base64=data)


def _read_tools(ask: Ask, request: _ChatRequest) -> None:
    tools = []
    for number, tool in enumerate(request.tools or ()):
        function = tool.function
        if tool.type != "function" or function is None:
            raise bad_request(
                "The sandbox knows function tools only.", param=f"tools[{number}].type", code="invalid_value"
            )
        schema = bytes(function.parameters)
        tools.append(ToolSpec(function.name, schema))
        ask.said.append(f"{function.name}{function.description}{compact(schema)}")
    ask.tools = tuple(tools)
    choice = request.tool_choice
    ask.tools_allowed = choice != "none"
    ask.parallel_allowed = request.parallel_tool_calls is not False
    if isinstance(choice, _NamedChoice) and choice.function is not None:
        ask.tool_name = choice.function.name
        if all(tool.name != ask.tool_name for tool in tools):
            raise bad_request(f"Tool choice {ask.tool_name!r} not found in 'tools' parameter.", param="tool_choice")


def _read_settings(ask: Ask, request: _ChatRequest) -> None:
    bound = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    if bound is not None:
        if bound < 1:
            raise bad_request(
                f"Invalid 'max_tokens': {bound} is less than 1.", param="max_tokens", code="integer_below_min_value"
            )
        ask.max_tokens = bound
    if request.stop:
        ask.stop = (request.stop,) if isinstance(request.stop, str) else tuple(filter(None, request.stop[:4]))
    if request.reasoning_effort == "none" or request.thinking is not None or request.reasoning is not None:
        ask.reasoning_allowed = _reasoning_allowed(request)
    wanted = request.response_format
    if wanted is not None and wanted.type == "json_schema":
        given = bytes(wanted.json_schema.schema) if wanted.json_schema is not None else b""
        if not given.startswith(b"{"):
            raise bad_request(
                "Missing required parameter: 'response_format.json_schema.schema'.", param="response_format"
            )
        ask.schema = given
    elif wanted is not None and wanted.type == "json_object":
        ask.schema = b'{"type":"object","properties":{"text":{"type":"string"}}}'


def _reasoning_allowed(request: _ChatRequest) -> bool:
    if request.thinking is not None and request.thinking.type == "disabled":
        return False
    reasoning = request.reasoning
    if reasoning is not None and (reasoning.enabled is False or reasoning.effort == "none"):
        return False
    return request.reasoning_effort != "none"
