"""The body of OpenAI's ``POST /v1/responses``, read.

https://platform.openai.com/docs/api-reference/responses/create. What the API refuses is refused here too: tool results
without their call, reasoning that was changed on its way, items that nobody has stored.
"""

import base64
import binascii
from hashlib import blake2b
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.ask import Ask, Image, ToolSpec, compact
from samovar.providers.sandbox.errors import Problem, Refused, bad_request
from samovar.providers.sandbox.openai_chat_request import data_image
from samovar.providers.sandbox.surface import named

_MIN_OUTPUT_TOKENS: Final = 16
_SEALING_KEY: Final = b"samovar-sandbox-reasoning"
_MAC_BYTES: Final = 48
_ENCRYPTED: Final = "reasoning.encrypted_content"
_ROLES: Final = frozenset(("user", "assistant", "system", "developer"))
_NOTHING: Final = msgspec.Raw()
"""What a field that may be absent is read as: msgspec cannot read a union of ``Raw`` with another type."""


class _Part(msgspec.Struct):
    type: str
    text: str = ""
    image_url: str | None = None


class _Item(msgspec.Struct):
    type: str = "message"
    id: str = ""
    role: str = ""
    content: msgspec.Raw = _NOTHING
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: msgspec.Raw = _NOTHING
    encrypted_content: str | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str = ""
    parameters: msgspec.Raw = _NOTHING
    description: str | None = None


class _NamedChoice(msgspec.Struct):
    type: str
    name: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = _NOTHING


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class _ResponsesRequest(msgspec.Struct):
    model: str
    input: str | list[_Item] = ""
    instructions: str | None = None
    stream: bool | None = False
    tools: msgspec.Raw = _NOTHING
    tool_choice: str | _NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    text: msgspec.Raw = _NOTHING
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    max_output_tokens: int | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: dict[str, str] | None = None


_decoder: Final = msgspec.json.Decoder(_ResponsesRequest)
_tools_decoder: Final = msgspec.json.Decoder(list[_Tool] | None)
_text_decoder: Final = msgspec.json.Decoder(_Text | None)
_content_decoder: Final = msgspec.json.Decoder(str | list[_Part] | None)


def read_responses(body: bytes) -> Ask:
    """What a Responses body asks. Raises ``Refused`` (400, 404)."""
    try:
        request = _decoder.decode(body)
        tools = _tools_decoder.decode(request.tools) if bytes(request.tools) else None
        text = _text_decoder.decode(request.text) if bytes(request.text) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"We could not parse the JSON body of your request: {error}") from error
    if request.previous_response_id is not None:
        message = (
            f"Previous response with id '{request.previous_response_id[:100]}' not found. The sandbox stores none."
        )
        raise bad_request(message, param="previous_response_id", code="previous_response_not_found")
    if not request.input:
        raise bad_request("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    reading = _Reading(request, blake2b(body, digest_size=12).hexdigest())
    reading.tools(tools or [])
    reading.input()
    reading.settings(text.format if text is not None else None)
    return reading.ask


def sealed(reasoning: str) -> str:
    """The reasoning in the form in which it comes back: anyone may carry it, nobody may change it."""
    said = reasoning.encode("utf-8", "replace")
    return base64.urlsafe_b64encode(_mac(said) + said).decode()


def _mac(said: bytes) -> bytes:
    return blake2b(said, digest_size=_MAC_BYTES, key=_SEALING_KEY).digest()


def _is_ours(encrypted: str) -> bool:
    try:
        content = base64.urlsafe_b64decode(encrypted.encode())
    except (binascii.Error, ValueError):
        return False
    return _mac(content[_MAC_BYTES:]) == content[:_MAC_BYTES]


class _Reading:
    """Reads one request into an :class:`Ask`."""

    def __init__(self, request: _ResponsesRequest, digest: str) -> None:
        model, suffix = named(request.model)
        self._request = request
        self._called: set[str] = set()
        self.ask = Ask(model=model, digest=digest, user_text="", said=[], suffix=suffix, stream=bool(request.stream))

    def tools(self, offered: list[_Tool]) -> None:
        ask, choice = self.ask, self._request.tool_choice
        tools = []
        for number, tool in enumerate(offered):
            if tool.type != "function" or not tool.name:
                message = "The sandbox knows function tools only, each with a name."
                raise bad_request(message, param=f"tools[{number}].type", code="invalid_value")
            schema = bytes(tool.parameters)
            tools.append(ToolSpec(tool.name, schema))
            ask.said.append(f"{tool.name}{tool.description or ''}{compact(schema)}")
        ask.tools = tuple(tools)
        ask.tools_allowed = choice != "none"
        ask.parallel_allowed = self._request.parallel_tool_calls is not False
        if isinstance(choice, _NamedChoice) and choice.name is not None:
            ask.tool_name = choice.name
            if all(tool.name != choice.name for tool in tools):
                raise bad_request(f"Tool choice {choice.name!r} not found in 'tools' parameter.", param="tool_choice")

    def input(self) -> None:
        ask, given = self.ask, self._request.input
        ask.said.append(self._request.instructions or "")
        if isinstance(given, str):
            ask.user_text = given
            ask.said.append(given)
            return
        for number, item in enumerate(given):
            self._item(f"input[{number}]", item)

    def _item(self, where: str, item: _Item) -> None:
        if item.type == "message":
            self._message(where, item)
        elif item.type == "function_call":
            self.ask.results = ()
            self._called.add(item.call_id)
            self.ask.said.append(item.name + item.arguments)
        elif item.type == "function_call_output":
            if item.call_id not in self._called:
                message = f"No tool call found for function call output with call_id {item.call_id[:100]}."
                raise bad_request(message, param="input")
            text, _ = self._content(f"{where}.output", item.output)
            self.ask.results = (*self.ask.results, text)
        elif item.type == "reasoning":
            self._reasoned(where, item)
        else:
            raise bad_request(f"Invalid value: {item.type[:50]!r}.", param=f"{where}.type", code="invalid_value")

    def _message(self, where: str, item: _Item) -> None:
        if item.role not in _ROLES:
            raise bad_request(f"Invalid value: {item.role[:50]!r}.", param=f"{where}.role", code="invalid_value")
        text, images = self._content(f"{where}.content", item.content)
        if item.role == "user":
            self.ask.user_text, self.ask.images, self.ask.results = text, images, ()
        elif item.role == "assistant":
            self.ask.results = ()

    def _reasoned(self, where: str, item: _Item) -> None:
        if item.encrypted_content is None:
            # Without a store there is nothing that the id alone could name (API reference, `store`).
            if self._request.store is False:
                message = (
                    f"Item with id '{item.id[:100]}' not found. Items are not persisted when `store` is set to false."
                )
                raise Refused(Problem(status=404, message=message, param="input"))
            return
        if not _is_ours(item.encrypted_content):
            message = f"The encrypted content for item {item.id[:100]} could not be verified."
            raise bad_request(message, param=f"{where}.encrypted_content", code="invalid_encrypted_content")

    def _content(self, where: str, raw: msgspec.Raw) -> tuple[str, tuple[Image, ...]]:
        try:
            content = _content_decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise bad_request(f"Invalid type for '{where}': {error}", param=where, code="invalid_type") from error
        if content is None or isinstance(content, str):
            self.ask.said.append(content or "")
            return content or "", ()
        texts: list[str] = []
        images: list[Image] = []
        for at, part in enumerate(content):
            if part.type in {"input_text", "output_text"}:
                texts.append(part.text)
            elif part.type == "input_image":
                images.append(_image(part.image_url, f"{where}[{at}].image_url"))
            elif part.type not in {"input_file", "input_audio", "refusal"}:
                message = f"Invalid value: {part.type[:50]!r}. Supported values are: 'input_text', 'input_image', ..."
                raise bad_request(message, param=f"{where}[{at}].type", code="invalid_value")
        self.ask.said.extend(texts)
        self.ask.image_count += len(images)
        return " ".join(texts), tuple(images)

    def settings(self, wanted: _Format | None) -> None:
        ask, request = self.ask, self._request
        if request.max_output_tokens is not None and request.max_output_tokens < _MIN_OUTPUT_TOKENS:
            message = (
                f"Invalid 'max_output_tokens': expected a value >= 16, but got {request.max_output_tokens} instead."
            )
            raise bad_request(message, param="max_output_tokens", code="integer_below_min_value")
        ask.max_tokens = request.max_output_tokens
        reasoning = request.reasoning or _Reasoning()
        ask.reasoning_allowed = reasoning.effort != "none"
        ask.reasoning_shown = reasoning.summary is not None
        ask.reasoning_sealed = _ENCRYPTED in (request.include or ())
        if wanted is not None and wanted.type == "json_schema":
            ask.schema = bytes(wanted.schema)
            if not ask.schema.startswith(b"{"):
                raise bad_request("Missing required parameter: 'text.format.schema'.", param="text.format.schema")
        elif wanted is not None and wanted.type == "json_object":
            ask.schema = b'{"type":"object","properties":{"text":{"type":"string"}}}'
        ask.echo = _echo(request, reasoning)


def _image(url: str | None, where: str) -> Image:
    if url is None:
        raise bad_request("Missing required parameter: 'image_url'.", param=where, code="missing_required_parameter")
    return data_image(url, where)


def _echo(request: _ResponsesRequest, reasoning: _Reasoning) -> dict[str, Any]:
    return {
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": request.metadata or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": reasoning,
        "store": request.store is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": request.text if bytes(request.text) else {"format": {"type": "text"}},
        "tool_choice": request.tool_choice or "auto",
        "tools": request.tools if bytes(request.tools) else [],
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": "disabled",
    }
