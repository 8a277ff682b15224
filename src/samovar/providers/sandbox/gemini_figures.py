"""Gemini's ``countTokens``, ``embedContent`` and ``batchEmbedContents``.

https://ai.google.dev/api/tokens, https://ai.google.dev/api/embeddings.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.answers import behaviour
from samovar.providers.sandbox.ask import Ask
from samovar.providers.sandbox.errors import Problem, bad_request
from samovar.providers.sandbox.exchange import Request
from samovar.providers.sandbox.gemini_errors import MANNERS, error_body, gemini_key
from samovar.providers.sandbox.gemini_generate import prompt_details
from samovar.providers.sandbox.gemini_names import in_camel_case
from samovar.providers.sandbox.gemini_request import Content, GenerateRequest, ask_of, model_and_method
from samovar.providers.sandbox.surface import Figure, named
from samovar.providers.sandbox.tokens import prompt_tokens, tokens_of
from samovar.providers.sandbox.vectors import dimensions_of, unit_vector

_MAX_BATCH: Final = 100
_MAX_INPUT_TOKENS: Final = 8_192
_encode: Final = msgspec.json.Encoder().encode


class _CountRequest(GenerateRequest):
    generate_content_request: GenerateRequest | None = None


class _EmbedRequest(msgspec.Struct, rename="camel"):
    content: Content
    output_dimensionality: int | None = None


class _BatchRequest(msgspec.Struct):
    requests: list[_EmbedRequest]


_count_decoder: Final = msgspec.json.Decoder(_CountRequest)
_embed_decoder: Final = msgspec.json.Decoder(_EmbedRequest)
_batch_decoder: Final = msgspec.json.Decoder(_BatchRequest)


class GeminiFigures:
    """See the module."""

    name = "gemini.figures"
    manners = MANNERS

    def claims(self, path: str) -> bool:
        """``/v1beta/models/{model}:`` and one of the three methods."""
        return model_and_method(path)[1] in _METHODS

    def key(self, request: Request) -> bytes:
        """``x-goog-api-key`` or ``?key=``."""
        return gemini_key(request)

    def work(self, request: Request) -> Figure:
        """Raises ``Refused`` (400, 404)."""
        model, method = model_and_method(request.path)
        try:
            return _METHODS[method](
                model, in_camel_case(request.body), blake2b(request.body, digest_size=12).hexdigest()
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request(f"Invalid JSON payload received. {error}") from error

    def error(self, problem: Problem) -> bytes:
        """``{"error": {code, message, status, details}}``."""
        return error_body(problem)

    def headers(self, digest: str) -> bytes:
        """None."""
        return b""


def _count(model: str, body: bytes, digest: str) -> Figure:
    request = _count_decoder.decode(body)
    ask = ask_of(model, request.generate_content_request or request, digest)
    behaviour(ask)
    tokens = prompt_tokens(ask)
    return Figure(ask, _encode({"totalTokens": tokens, "promptTokensDetails": prompt_details(ask, tokens)}))


def _embed(model: str, body: bytes, digest: str) -> Figure:
    figure, values, usage = _embedded(model, [_embed_decoder.decode(body)], digest)
    return Figure(figure, _encode({"embedding": values[0], "usageMetadata": usage}))


def _embed_batch(model: str, body: bytes, digest: str) -> Figure:
    requests = _batch_decoder.decode(body).requests
    if not 1 <= len(requests) <= _MAX_BATCH:
        raise bad_request(f"* BatchEmbedContentsRequest.requests: from 1 to {_MAX_BATCH} requests can be in one batch")
    ask, values, usage = _embedded(model, requests, digest)
    return Figure(ask, _encode({"embeddings": values, "usageMetadata": usage}))


def _embedded(
    model: str, requests: list[_EmbedRequest], digest: str
) -> tuple[Ask, list[dict[str, Any]], dict[str, int]]:
    name, suffix = named(model)
    texts, values = [], []
    for request in requests:
        dimensions = dimensions_of(name, request.output_dimensionality, param="outputDimensionality")
        text = " ".join(part.text for part in request.content.parts if part.text is not None)
        if not text:
            raise bad_request("* EmbedContentRequest.content: contents.parts must not be empty.")
        if tokens_of(len(text)) > _MAX_INPUT_TOKENS:
            raise bad_request(
                f"The input token count exceeds the maximum number of tokens allowed ({_MAX_INPUT_TOKENS})."
            )
        texts.append(text)
        values.append({"values": unit_vector(text, dimensions).tolist()})
    ask = Ask(model=name, digest=digest, user_text=texts[-1], said=texts, suffix=suffix)
    return ask, values, {"promptTokenCount": sum(tokens_of(len(text)) for text in texts)}


_METHODS: Final[dict[str, Callable[[str, bytes, str], Figure]]] = {
    "countTokens": _count,
    "embedContent": _embed,
    "batchEmbedContents": _embed_batch,
}
