"""Anthropic's ``POST /v1/messages/count_tokens`` (https://platform.claude.com/docs/en/api/messages-count-tokens)."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from samovar.ports.dialect import BadAnswer, Head, Vendor
from samovar.ports.json_requests import UNREADABLE, bounded_nesting, decode
from samovar.ports.llm import ChatRequest
from samovar.providers.anthropic.dialect import AnthropicMessages
from samovar.providers.anthropic.request.read import read_request


class _Head(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Raw], Meta(min_length=1)]
    drop_params: bool = False


class _Answer(msgspec.Struct):
    input_tokens: Annotated[int, Meta(ge=0)]


class AnthropicCount:
    """See :class:`samovar.ports.embeddings.CountSurface`. The body is that of messages, without ``max_tokens``."""

    name = "anthropic-count-tokens"

    @bounded_nesting
    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed`` with the path of the flaw."""
        head = decode(body, _Head)
        return Head(model=head.model, drop_params=head.drop_params)

    @bounded_nesting
    def as_prompt(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed`` with the path of the flaw."""
        fields: dict[str, object] = {**decode(body, dict[str, Raw])}
        # Messages demand a bound on an answer; here there is no answer.
        fields["max_tokens"] = 1
        return read_request(msgspec.json.encode(fields))

    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """As for messages."""
        return AnthropicMessages().splice(body, model=model, vendor=vendor)

    def tap(self, body: bytes) -> int:
        """Raises ``BadAnswer``."""
        try:
            return msgspec.json.decode(body, type=_Answer).input_tokens
        except UNREADABLE as error:
            raise BadAnswer(f"the provider's answer is no count of tokens: {error}") from error

    def write_answer(self, tokens: int) -> bytes:
        """``{"input_tokens"}``."""
        return msgspec.json.encode(_Answer(tokens))
