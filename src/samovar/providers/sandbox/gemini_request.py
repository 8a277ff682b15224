"""The body of Gemini's ``generateContent``, read. What counts tokens reads the same.

https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

import base64
import binascii
import re
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from samovar.providers.sandbox.ask import Ask, Image, ToolSpec, compact
from samovar.providers.sandbox.errors import bad_request
from samovar.providers.sandbox.gemini_names import in_camel_case
from samovar.providers.sandbox.surface import named

_PATH: Final = re.compile(r"/v1(?:beta|alpha)?/models/(.+):([A-Za-z]+)")
"""The SDKs name different versions; the format is the same."""
_SIGNING_KEY: Final = b"samovar-sandbox-gemini"
_MAC_BYTES: Final = 32
_SAID: Final = "text"
"""What the signature of a text stands for: it may be cut and joined on its way, so only the signature itself is checked."""
_FOREIGN: Final = frozenset(("context_engineering_is_the_way_to_go", "skip_thought_signature_validator"))
"""What stands in for the signature of a call that another model made (*Thought signatures*, FAQ)."""
_MAX_SCHEMA_DEPTH: Final = 64
_NOTHING: Final = msgspec.Raw()
"""What a field that may be absent is read as: msgspec cannot read a union of ``Raw`` with another type."""


class _Camel(msgspec.Struct, rename="camel"):
    pass


class _Blob(_Camel):
    mime_type: str = ""
    data: str = ""


class _File(_Camel):
    file_uri: str
    mime_type: str = ""


class _Call(_Camel):
    name: str
    args: dict[str, Any] | None = None


class _Result(_Camel):
    name: str
    response: dict[str, Any] | None = None


class Part(_Camel):
    """One part of a content; exactly one of its kinds is there."""

    text: str | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: _Call | None = None
    function_response: _Result | None = None
    thought: bool = False
    thought_signature: str | None = None


class Content(_Camel):
    """A turn, or the instruction."""

    parts: list[Part] = []
    role: str = "user"


class _Function(_Camel):
    name: str
    description: str = ""
    parameters: msgspec.Raw = _NOTHING
    parameters_json_schema: msgspec.Raw = _NOTHING


class _Tool(_Camel):
    function_declarations: list[_Function] = []


class _CallingConfig(_Camel):
    mode: str = "AUTO"
    allowed_function_names: list[str] = []


class _ToolConfig(_Camel):
    function_calling_config: _CallingConfig | None = None


class _Thinking(_Camel):
    include_thoughts: bool = False
    thinking_budget: int | None = None


class _Generation(_Camel):
    max_output_tokens: int | None = None
    stop_sequences: list[str] = []
    response_mime_type: str = ""
    response_schema: msgspec.Raw = _NOTHING
    response_json_schema: msgspec.Raw = _NOTHING
    thinking_config: _Thinking | None = None
    candidate_count: int | None = None


class GenerateRequest(_Camel):
    """The body of ``generateContent``."""

    contents: list[Content] = []
    system_instruction: Content | None = None
    tools: list[_Tool] = []
    tool_config: _ToolConfig | None = None
    generation_config: _Generation | None = None


_decoder: Final = msgspec.json.Decoder(GenerateRequest)


def model_and_method(path: str) -> tuple[str, str]:
    """``/v1beta/models/sandbox/echo:generateContent`` as its model, directives included, and its method; both empty for
    any other path."""
    found = _PATH.fullmatch(path)
    return (unquote(found[1]), found[2]) if found is not None else ("", "")


def read_generate(path: str, body: bytes) -> Ask:
    """What a ``generateContent`` body asks. Raises ``Refused`` (400)."""
    try:
        request = _decoder.decode(in_camel_case(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"Invalid JSON payload received. {error}") from error
    return ask_of(model_and_method(path)[0], request, blake2b(body, digest_size=12).hexdigest())


def ask_of(model: str, request: GenerateRequest, digest: str) -> Ask:
    """What ``request`` asks of ``model``. Raises ``Refused`` (400)."""
    if not request.contents:
        raise bad_request("* GenerateContentRequest.contents: contents is not specified")
    name, suffix = named(model)
    ask = Ask(model=name, digest=digest, user_text="", said=[], suffix=suffix)
    _read_tools(ask, request)
    if request.system_instruction is not None:
        ask.said.extend(part.text or "" for part in request.system_instruction.parts)
    _Reading(ask, request.contents).all()
    _read_settings(ask, request.generation_config or _Generation())
    return ask


def call_signature(name: str, arguments: Any) -> str:
    """The proof that the sandbox called this function with these arguments."""
    return _signed(f"{name}\0".encode() + msgspec.json.encode(arguments, order="deterministic"))


def text_signature() -> str:
    """What stands on the last part of a text that was thought about."""
    return _signed(_SAID.encode())


def _signed(what: bytes) -> str:
    return base64.b64encode(blake2b(what, digest_size=_MAC_BYTES, key=_SIGNING_KEY).digest()).decode()


class _Reading:
    """Reads the turns."""

    def __init__(self, ask: Ask, contents: list[Content]) -> None:
        self._ask = ask
        self._contents = contents
        self._called = 0
        asked = (number for number, content in enumerate(contents) if _is_asked(content))
        self._current_from = max(asked, default=0)
        """Where the current turn begins: older calls may have lost their signatures, those after it may not."""

    def all(self) -> None:
        for number, content in enumerate(self._contents):
            if content.role not in {"user", "model", "function"}:
                raise bad_request("Please use a valid role: user, model.")
            if not content.parts:
                raise bad_request(
                    f"* GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty."
                )
            if content.role == "model":
                self._model_turn(number, content.parts)
            else:
                self._user_turn(number, content.parts)

    def _model_turn(self, number: int, parts: list[Part]) -> None:
        self._ask.results = ()
        calls = 0
        for at, part in enumerate(parts):
            self._ask.said.append(part.text or "")
            call = part.function_call
            if call is None:
                _check(part.thought_signature, text_signature())
                continue
            self._ask.said.append(call.name + msgspec.json.encode(call.args or {}).decode())
            # Of calls made in parallel only the first is signed (*Thought signatures*, parallel calls).
            if part.thought_signature is None and not calls and number > self._current_from:
                raise bad_request(
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                    "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                    f"data, function call `default_api:{call.name}`, position {at}."
                )
            _check(part.thought_signature, call_signature(call.name, call.args or {}))
            calls += 1
        self._called = calls

    def _user_turn(self, number: int, parts: list[Part]) -> None:
        ask = self._ask
        texts: list[str] = []
        images: list[Image] = []
        results: list[str] = []
        for at, part in enumerate(parts):
            where = f"contents[{number}].parts[{at}]"
            if part.function_response is not None:
                results.append(_result(part.function_response))
            elif part.inline_data is not None or part.file_data is not None:
                images.append(_image(part, where))
            elif part.text is not None:
                texts.append(part.text)
            else:
                raise bad_request(
                    f"* GenerateContentRequest.{where}.data: required oneof field 'data' must have one "
                    "initialized field"
                )
        if len(results) != self._called:
            raise bad_request(
                "Please ensure that the number of function response parts is equal to the number of function call parts "
                "of the function call turn."
            )
        self._called = 0
        ask.said += [*texts, *results]
        ask.image_count += len(images)
        ask.results = tuple(results)
        if texts or images:
            ask.user_text, ask.images = " ".join(texts), tuple(images)


def _is_asked(content: Content) -> bool:
    return content.role == "user" and any(part.function_response is None for part in content.parts)


def _check(signature: str | None, expected: str) -> None:
    if signature is None or signature in _FOREIGN:
        return
    try:
        given = base64.b64decode(signature.replace("-", "+").replace("_", "/") + "==")
    except (binascii.Error, ValueError):
        given = b""
    if given.decode("latin-1") not in _FOREIGN and given != base64.b64decode(expected):
        raise bad_request("Corrupted thought signature.")


def _result(result: _Result) -> str:
    """The text of a result: its ``result`` or ``output`` where that is text, else all of it as JSON."""
    response = result.response or {}
    for name in ("result", "output"):
        if isinstance(response.get(name), str):
            return str(response[name])
    return msgspec.json.encode(response).decode()


def _image(part: Part, where: str) -> Image:
    if part.inline_data is not None:
        # A client may write base64 in either alphabet (protobuf's JSON mapping).
        data = part.inline_data.data
        if "-" in data or "_" in data:
            data = data.replace("-", "+").replace("_", "/")
        return Image(where=f"{where}.inlineData", base64=data, media_type=part.inline_data.mime_type)
    assert part.file_data is not None
    return Image(where=f"{where}.fileData", url=part.file_data.file_uri)


def _read_tools(ask: Ask, request: GenerateRequest) -> None:
    tools = []
    for function in (function for tool in request.tools for function in tool.function_declarations):
        schema = _schema(function.parameters_json_schema, function.parameters)
        tools.append(ToolSpec(function.name, schema))
        ask.said.append(f"{function.name}{function.description}{compact(schema)}")
    calling = (request.tool_config or _ToolConfig()).function_calling_config or _CallingConfig()
    unknown = set(calling.allowed_function_names) - {tool.name for tool in tools}
    if unknown:
        raise bad_request(f"allowed_function_names: {sorted(unknown)[0][:100]!r} is not declared.")
    if calling.allowed_function_names:
        tools = [tool for tool in tools if tool.name in calling.allowed_function_names]
    ask.tools = tuple(tools)
    ask.tools_allowed = calling.mode != "NONE"


def _read_settings(ask: Ask, settings: _Generation) -> None:
    if settings.candidate_count not in {None, 1}:
        raise bad_request("Only one candidate can be specified.")
    if settings.max_output_tokens is not None and settings.max_output_tokens < 1:
        raise bad_request(f"Unable to submit request because it has a maxOutputTokens of {settings.max_output_tokens}.")
    ask.max_tokens = settings.max_output_tokens
    ask.stop = tuple(filter(None, settings.stop_sequences[:5]))
    thinking = settings.thinking_config or _Thinking()
    ask.reasoning_shown = thinking.include_thoughts
    ask.reasoning_allowed = thinking.thinking_budget != 0
    schema = _schema(settings.response_json_schema, settings.response_schema)
    if settings.response_mime_type == "application/json":
        ask.schema = schema or b'{"type":"object","properties":{"text":{"type":"string"}}}'
    elif schema:
        raise bad_request(
            "Function calling config or response schema is set without response mime type: application/json."
        )


def _schema(plain: msgspec.Raw, own: msgspec.Raw) -> bytes:
    """The JSON schema that was given in the one or the other form; nothing where none was."""
    if bytes(plain) not in {b"", b"null"}:
        return bytes(plain)
    if bytes(own) in {b"", b"null"}:
        return b""
    return msgspec.json.encode(_lowered(msgspec.json.decode(own), 0))


def _lowered(node: Any, depth: int) -> Any:
    """Gemini writes OBJECT and STRING where JSON schema writes object and string."""
    if depth > _MAX_SCHEMA_DEPTH:
        raise bad_request("A schema exceeds the maximum allowed nesting depth.")
    if isinstance(node, list):
        return [_lowered(item, depth + 1) for item in node]
    if not isinstance(node, dict):
        return node
    lowered = {name: _lowered(value, depth + 1) for name, value in node.items()}
    if isinstance(lowered.get("type"), str):
        lowered["type"] = lowered["type"].lower()
    return lowered
