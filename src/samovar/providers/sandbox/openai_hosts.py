"""More who speak OpenAI's chat format with an accent: hosts of many models, and servers that people run themselves.

Sources: docs.mistral.ai, console.groq.com/docs, learn.microsoft.com/azure/ai-foundry/openai, docs.ollama.com/openai,
docs.vllm.ai.
"""

from typing import Any, Final

import msgspec

from samovar.providers.sandbox.ask import Tokens
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.openai_errors import error_fields
from samovar.providers.sandbox.openai_flavours import Flavour, UsagePlace, openai_usage

_encode: Final = msgspec.json.Encoder().encode


def _plain_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    }


def _cached_usage(tokens: Tokens) -> dict[str, Any]:
    details = {"cached_tokens": tokens.cached} if tokens.cached else None
    return {**_plain_usage(tokens), "prompt_tokens_details": details}


def _reasoning(text: str) -> dict[str, Any]:
    return {"reasoning": text}


# --- Mistral ---------------------------------------------------------------------------------------------------------


def _mistral_reasoning(text: str) -> dict[str, Any]:
    """Thinking is a part of the content, before the words."""
    return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}


def _mistral_error(problem: Problem) -> bytes:
    kind = {401: "unauthorized", 429: "rate_limited"}.get(problem.status, "invalid_request_error")
    kind = "internal_server_error" if problem.status >= 500 else kind
    return _encode(
        {"object": "error", "message": problem.message, "type": kind, "param": problem.param, "code": "1300"}
    )


def _mistral_error_event(problem: Problem) -> bytes:
    return b"data: " + _mistral_error(problem) + b"\n\n"


_MISTRAL_KNOWN: Final = frozenset(
    {
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_tokens",
        "stream",
        "stop",
        "random_seed",
        "metadata",
        "response_format",
        "tools",
        "tool_choice",
        "presence_penalty",
        "frequency_penalty",
        "n",
        "prediction",
        "parallel_tool_calls",
        "prompt_mode",
        "reasoning_effort",
        "safe_prompt",
    }
)

# --- Groq, vLLM ------------------------------------------------------------------------------------------------------


def _groq_usage(tokens: Tokens) -> dict[str, Any]:
    details = {"reasoning_tokens": tokens.reasoning}
    times = {"queue_time": 0.001, "prompt_time": 0.001, "completion_time": 0.002, "total_time": 0.003}
    return {**_cached_usage(tokens), "completion_tokens_details": details, **times}


def _vllm_error(problem: Problem) -> bytes:
    names = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError"}
    kind = names.get(problem.status, "InternalServerError" if problem.status >= 500 else "BadRequestError")
    fields = {"message": problem.message, "type": kind, "param": problem.param, "code": problem.status}
    return _encode({"error": fields})


def _vllm_error_event(problem: Problem) -> bytes:
    return b"data: " + _vllm_error(problem) + b"\n\n"


# --- Azure -----------------------------------------------------------------------------------------------------------

_FILTERED: Final = {"hate": {"filtered": False, "severity": "safe"}}
_AZURE_PREAMBLE: Final = (
    b"data: "
    + _encode(
        {
            "choices": [],
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _FILTERED}],
        }
    )
    + b"\n\n"
)


def azure_error(problem: Problem) -> bytes:
    """OpenAI's shape; who is not let in gets Azure's own, without a type."""
    if problem.status in {401, 403}:
        return _encode({"error": {"code": str(problem.status), "message": problem.message}})
    return _encode({"error": {**error_fields(problem), "inner_error": None}})


def _azure_error_event(problem: Problem) -> bytes:
    return b"data: " + azure_error(problem) + b"\n\n"


OLLAMA: Final = Flavour(name="ollama.chat", prefix="/ollama/", usage=_plain_usage, reasoning=_reasoning)
VLLM: Final = Flavour(
    name="vllm.chat", prefix="/vllm/", usage=_cached_usage, error=_vllm_error, error_event=_vllm_error_event
)
MISTRAL: Final = Flavour(
    name="mistral.chat",
    prefix="/mistral/",
    usage=_plain_usage,
    usage_place=UsagePlace.ON_FINISH,
    reasoning=_mistral_reasoning,
    known=_MISTRAL_KNOWN,
    error=_mistral_error,
    error_event=_mistral_error_event,
)
GROQ: Final = Flavour(name="groq.chat", prefix="/groq/", usage=_groq_usage, reasoning=_reasoning)
AZURE: Final = Flavour(
    name="azure.chat",
    prefix="/azure/",
    usage=openai_usage,
    preamble=_AZURE_PREAMBLE,
    error=azure_error,
    error_event=_azure_error_event,
)
HOSTS: Final = (OLLAMA, VLLM, MISTRAL, GROQ, AZURE)
