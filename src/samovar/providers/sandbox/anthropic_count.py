"""Anthropic's ``POST /v1/messages/count_tokens``.

https://docs.claude.com/en/api/messages-count-tokens.
"""

from typing import Final

import msgspec

from samovar.providers.sandbox.answers import behaviour
from samovar.providers.sandbox.anthropic_messages import MANNERS, AnthropicMessages
from samovar.providers.sandbox.anthropic_request import read_prompt
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import Request
from samovar.providers.sandbox.surface import Figure
from samovar.providers.sandbox.tokens import prompt_tokens

_messages: Final = AnthropicMessages()
_encode: Final = msgspec.json.Encoder().encode


class AnthropicCount:
    """See the module."""

    name = "anthropic.count_tokens"
    manners = MANNERS

    def claims(self, path: str) -> bool:
        """``/v1/messages/count_tokens`` only."""
        return path == "/v1/messages/count_tokens"

    def key(self, request: Request) -> bytes:
        """``x-api-key``, or a bearer token."""
        return _messages.key(request)

    def work(self, request: Request) -> Figure:
        """``{"input_tokens"}``. Raises ``Refused`` (400, 404)."""
        ask = read_prompt(request.headers, request.body)
        behaviour(ask)
        return Figure(ask, _encode({"input_tokens": prompt_tokens(ask)}))

    def error(self, problem: Problem) -> bytes:
        """As messages."""
        return _messages.error(problem)

    def headers(self, digest: str) -> bytes:
        """``request-id``."""
        return _messages.headers(digest)
