"""OpenAI's ``POST /v1/embeddings``, written from the API reference.

https://platform.openai.com/docs/api-reference/embeddings/create.
"""

import base64
from hashlib import blake2b
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.ask import Ask
from samovar.providers.sandbox.errors import Problem, bad_request
from samovar.providers.sandbox.exchange import Request
from samovar.providers.sandbox.openai_errors import error_body, request_id
from samovar.providers.sandbox.surface import Figure, Manners, bearer_or_api_key, named
from samovar.providers.sandbox.tokens import tokens_of
from samovar.providers.sandbox.vectors import dimensions_of, unit_vector

_EMBEDDING_FLAVOURS: Final = ("/openrouter/", "/bigmodel/", "/ollama/", "/vllm/", "/mistral/", "/azure/")
_MAX_INPUTS: Final = 2_048
_MAX_INPUT_TOKENS: Final = 8_192
_MAX_REQUEST_TOKENS: Final = 300_000
_encode: Final = msgspec.json.Encoder().encode


class _EmbeddingsRequest(msgspec.Struct):
    input: str | list[str | int | list[int]]
    model: str
    dimensions: int | None = None
    encoding_format: str | None = None


_decoder: Final = msgspec.json.Decoder(_EmbeddingsRequest)


class _Text(msgspec.Struct, frozen=True):
    """One input: its text, or its token numbers as words, and how many tokens it is."""

    said: str
    tokens: int


class OpenAIEmbeddings:
    """See the module."""

    name = "openai.embeddings"
    manners = Manners()

    def claims(self, path: str) -> bool:
        """``/v1/embeddings``, and that of the flavours whose vendors make embeddings in this format."""
        return path == "/v1/embeddings" or (path.endswith("/embeddings") and path.startswith(_EMBEDDING_FLAVOURS))

    def key(self, request: Request) -> bytes:
        """``Authorization: Bearer``, or Azure's ``api-key``."""
        return bearer_or_api_key(request.headers)

    def work(self, request: Request) -> Figure:
        """A ``list`` of ``embedding``. Raises ``Refused`` (400, 404)."""
        try:
            wanted = _decoder.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request(f"We could not parse the JSON body of your request: {error}") from error
        if wanted.encoding_format not in {None, "float", "base64"}:
            raise bad_request("Invalid value for 'encoding_format': 'float' or 'base64'.", param="encoding_format")
        model, suffix = named(wanted.model)
        dimensions = dimensions_of(model, wanted.dimensions, param="dimensions")
        texts = _texts(wanted.input)
        digest = blake2b(request.body, digest_size=12).hexdigest()
        said = [text.said for text in texts]
        ask = Ask(model=model, digest=digest, user_text=said[-1], said=said, suffix=suffix)
        data = []
        for index, text in enumerate(texts):
            vector = unit_vector(text.said, dimensions)
            # Little-endian float32 (API reference, encoding_format); array("f") is that on the machines we run on.
            shown: Any = vector.tolist()
            if wanted.encoding_format == "base64":
                shown = base64.b64encode(vector.tobytes()).decode()
            data.append({"object": "embedding", "index": index, "embedding": shown})
        count = sum(text.tokens for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        return Figure(ask, _encode({"object": "list", "data": data, "model": model, "usage": usage}))

    def error(self, problem: Problem) -> bytes:
        """``{"error": {message, type, param, code}}``."""
        return error_body(problem)

    def headers(self, digest: str) -> bytes:
        """``x-request-id``."""
        return request_id(digest)


def _texts(given: str | list[str | int | list[int]]) -> list[_Text]:
    items: list[str | int | list[int]] = [given] if isinstance(given, str) else given
    numbers = [item for item in items if isinstance(item, int)]
    if numbers and len(numbers) == len(items):
        items = [numbers]
    if not items or len(items) > _MAX_INPUTS:
        raise bad_request(f"'input' must hold 1 to {_MAX_INPUTS} inputs, not {len(items)}.", param="input")
    texts = [_text(item) for item in items]
    if sum(text.tokens for text in texts) > _MAX_REQUEST_TOKENS:
        raise bad_request(f"Requested more than {_MAX_REQUEST_TOKENS} tokens, max {_MAX_REQUEST_TOKENS} per request.")
    return texts


def _text(item: str | int | list[int]) -> _Text:
    if isinstance(item, int) or item in ("", []):
        raise bad_request("'input' cannot be empty, nor mix tokens with texts.", param="input")
    text = (
        _Text(item, tokens_of(len(item)))
        if isinstance(item, str)
        else _Text(" ".join(f"#{token}" for token in item), len(item))
    )
    if text.tokens > _MAX_INPUT_TOKENS:
        raise bad_request(
            f"This model's maximum context length is {_MAX_INPUT_TOKENS} tokens, however you requested {text.tokens}.",
            code="context_length_exceeded",
        )
    return text
