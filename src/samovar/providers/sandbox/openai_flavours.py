"""Who speaks OpenAI's chat format with an accent: what each vendor writes otherwise, as data.

A base URL under a flavour's prefix chooses it: ``/xai/v1``, ``/openrouter/api/v1``, ``/bigmodel/api/paas/v4``,
``/deepseek/v1``; more of them stand in ``openai_hosts``.
Sources: docs.x.ai, openrouter.ai/docs, docs.bigmodel.cn, api-docs.deepseek.com.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.anthropic_request import signature
from samovar.providers.sandbox.ask import Tokens
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.openai_errors import error_body
from samovar.providers.sandbox.surface import Manners

CHAT_PATH: Final = "/v1/chat/completions"
_PATH: Final = "/chat/completions"
_USD_TICKS_PER_TOKEN: Final = 10_000
"""A millionth of a dollar for a token in, two for one out: an xAI tick is 1e-10 USD."""
_TICKS_PER_USD: Final = 10_000_000_000
_encode: Final = msgspec.json.Encoder().encode


class UsagePlace(Enum):
    """Where a stream says its usage: in an event of its own at the end, asked for or always, or with the finish reason."""

    ASKED = auto()
    ALWAYS = auto()
    ON_FINISH = auto()


def openai_usage(tokens: Tokens) -> dict[str, Any]:
    """OpenAI's own: cached tokens in the prompt, reasoning in the completion."""
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _reasoning_content(text: str) -> dict[str, Any]:
    return {"reasoning_content": text}


def _error_event(problem: Problem) -> bytes:
    return b"data: " + error_body(problem) + b"\n\n"


class Flavour(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor speaks. ``prefix`` is the path before its base URL, empty for OpenAI itself; ``preamble`` what goes before
    every streamed answer. ``reasoning`` gives the fields for a piece of reasoning, ``reasoned`` those for all of it where
    they differ, ``seal`` the delta that proves it at its end. ``known`` are the request's fields where all others are
    refused."""

    name: str
    prefix: str = ""
    manners: Manners = Manners()
    usage: Callable[[Tokens], dict[str, Any]] = openai_usage
    usage_place: UsagePlace = UsagePlace.ASKED
    reasoning: Callable[[str], dict[str, Any]] = _reasoning_content
    reasoned: Callable[[str], dict[str, Any]] | None = None
    seal: Callable[[str], dict[str, Any]] | None = None
    preamble: bytes = b""
    known: frozenset[str] | None = None
    error: Callable[[Problem], bytes] = error_body
    error_event: Callable[[Problem], bytes] = _error_event

    def claims(self, path: str) -> bool:
        """Whether this path is the chat of this flavour."""
        if not self.prefix:
            return path == CHAT_PATH
        return path.startswith(self.prefix) and path.endswith(_PATH)


def cost_in_ticks(tokens: Tokens) -> int:
    """What the sandbox pretends to charge, in units of 1e-10 USD."""
    return _USD_TICKS_PER_TOKEN * (tokens.input + 2 * tokens.output)


def _xai_usage(tokens: Tokens) -> dict[str, Any]:
    usage = openai_usage(tokens)
    # Exclusive here: reasoning is beside the completion, and in the total.
    usage["completion_tokens"] = tokens.output - tokens.reasoning
    images = {"text_tokens": tokens.input, "image_tokens": 0}
    usage["prompt_tokens_details"] = {**images, **usage["prompt_tokens_details"]}
    return {**usage, "num_sources_used": 0, "cost_in_usd_ticks": cost_in_ticks(tokens)}


_XAI_CODES: Final = {
    400: "Client specified an invalid argument",
    401: "The request does not have valid authentication credentials for the operation",
    403: "The caller does not have permission to execute the specified operation",
    404: "Some requested entity was not found",
    429: "Some resource has been exhausted",
    503: "The service is currently unavailable",
}


def xai_error(problem: Problem) -> bytes:
    """``{"code": "words", "error": "more words"}``: no object, unlike all others."""
    return _encode({"code": _XAI_CODES.get(problem.status, "Internal error"), "error": problem.message})


def _xai_error_event(problem: Problem) -> bytes:
    return b"data: " + xai_error(problem) + b"\n\n"


def _openrouter_usage(tokens: Tokens) -> dict[str, Any]:
    cost = cost_in_ticks(tokens) / _TICKS_PER_USD
    details = {"upstream_inference_cost": None}
    return {**openai_usage(tokens), "cost": cost, "is_byok": False, "cost_details": details}


_DETAIL: Final = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
"""As of a model of Anthropic's: signed."""


def _openrouter_reasoning(text: str) -> dict[str, Any]:
    return {"reasoning": text, "reasoning_details": [{**_DETAIL, "text": text}]}


def _openrouter_reasoned(text: str) -> dict[str, Any]:
    return {"reasoning": text, "reasoning_details": [{**_DETAIL, "text": text, "signature": signature(text)}]}


def _openrouter_seal(text: str) -> dict[str, Any]:
    return {"reasoning_details": [{**_DETAIL, "signature": signature(text)}]}


def _openrouter_fields(problem: Problem) -> dict[str, Any]:
    return {"code": problem.status, "message": problem.message, "metadata": {"provider_name": "Samovar sandbox"}}


def _openrouter_error(problem: Problem) -> bytes:
    return _encode({"error": _openrouter_fields(problem), "user_id": "user_sandbox"})


def _openrouter_error_event(problem: Problem) -> bytes:
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    event = {
        "id": "gen-sandbox-failed",
        "object": "chat.completion.chunk",
        "provider": "Samovar sandbox",
        "error": _openrouter_fields(problem),
        "choices": [choice],
    }
    return b"data: " + _encode(event) + b"\n\n"


def _bigmodel_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
    }


_BIGMODEL_CODES: Final = {400: "1210", 401: "1002", 403: "1220", 404: "1211", 429: "1302", 500: "1234", 503: "1305"}
_BIGMODEL_QUOTA: Final = "1113"
_BIGMODEL_CONTEXT: Final = "1261"


def _bigmodel_error(problem: Problem) -> bytes:
    code = _BIGMODEL_CODES.get(problem.status, "500")
    if problem.code == "insufficient_quota":
        code = _BIGMODEL_QUOTA
    elif problem.code == "context_length_exceeded":
        code = _BIGMODEL_CONTEXT
    return _encode({"error": {"code": code, "message": problem.message}})


def _bigmodel_error_event(problem: Problem) -> bytes:
    return b"data: " + _bigmodel_error(problem) + b"\n\n"


def _deepseek_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "prompt_cache_hit_tokens": tokens.cached,
        "prompt_cache_miss_tokens": tokens.input - tokens.cached,
    }


OPENAI: Final = Flavour(name="openai.chat")
XAI: Final = Flavour(
    name="xai.chat",
    prefix="/xai/",
    manners=Manners(bad_key_status=400),
    usage=_xai_usage,
    usage_place=UsagePlace.ALWAYS,
    error=xai_error,
    error_event=_xai_error_event,
)
OPENROUTER: Final = Flavour(
    name="openrouter.chat",
    prefix="/openrouter/",
    manners=Manners(quota_status=402),
    usage=_openrouter_usage,
    usage_place=UsagePlace.ALWAYS,
    reasoning=_openrouter_reasoning,
    reasoned=_openrouter_reasoned,
    seal=_openrouter_seal,
    preamble=b": OPENROUTER PROCESSING\n\n",
    error=_openrouter_error,
    error_event=_openrouter_error_event,
)
BIGMODEL: Final = Flavour(
    name="bigmodel.chat",
    prefix="/bigmodel/",
    usage=_bigmodel_usage,
    usage_place=UsagePlace.ON_FINISH,
    error=_bigmodel_error,
    error_event=_bigmodel_error_event,
)
DEEPSEEK: Final = Flavour(
    name="deepseek.chat",
    prefix="/deepseek/",
    manners=Manners(quota_status=402),
    usage=_deepseek_usage,
    usage_place=UsagePlace.ON_FINISH,
    preamble=b": keep-alive\n\n",
)
FLAVOURS: Final = (XAI, OPENROUTER, BIGMODEL, DEEPSEEK)
