"""Who serves models, as data: a vendor that speaks a known dialect costs one row here and no code.

Sources: each vendor's API reference, read November 2026. ``rejects`` names request fields as OpenAI chat writes them
(``top_k``, ``n``, ``seed``) or kinds of content and format (``video_url``, ``json_schema``).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from samovar.ports.dialect import Quirks, Vendor

CHAT: Final = "openai-chat"
RESPONSES: Final = "openai-responses"
MESSAGES: Final = "anthropic-messages"
GEMINI: Final = "gemini"

_OPENAI: Final = Vendor(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    paths={CHAT: "/chat/completions", RESPONSES: "/responses"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="OPENAI_API_KEY",
    base_url_env="OPENAI_BASE_URL",
    price_source="openai",
    idempotency_header="Idempotency-Key",
    # The GPT-5 family and the o series keep their reasoning between turns only through Responses.
    preferred=(("gpt-5", RESPONSES), ("gpt-6", RESPONSES), ("o1", RESPONSES), ("o3", RESPONSES), ("o4", RESPONSES)),
    quirks=Quirks(reasoning_switch="effort", rejects=frozenset({"top_k", "video_url"})),
)

_OPENROUTER: Final = Vendor(
    name="openrouter",
    title="OpenRouter",
    base_url="https://openrouter.ai/api/v1",
    paths={CHAT: "/chat/completions"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="OPENROUTER_API_KEY",
    base_url_env="OPENROUTER_BASE_URL",
    price_source="openrouter",
    # Usage and cost always stand in the last event, asked for or not.
    quirks=Quirks(
        max_tokens_field="max_tokens",
        stream_usage_option=False,
        reasoning_field="reasoning",
        reasoning_switch="openrouter",
        rejects=frozenset({"n"}),
    ),
)

_BIGMODEL: Final = Vendor(
    name="bigmodel",
    title="BigModel (Zhipu)",
    base_url="https://open.bigmodel.cn/api/paas/v4",
    paths={CHAT: "/chat/completions"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="BIGMODEL_API_KEY",
    base_url_env="BIGMODEL_BASE_URL",
    price_source="zhipuai",
    # Usage always stands in the finish chunk; stream_options are none of its fields (docs.z.ai, streaming).
    quirks=Quirks(
        max_tokens_field="max_tokens",
        developer_role=False,
        stream_usage_option=False,
        reasoning_field="reasoning_content",
        reasoning_switch="thinking",
        rejects=frozenset(
            {
                "frequency_penalty",
                "json_schema",
                "logprobs",
                "metadata",
                "n",
                "parallel_tool_calls",
                "presence_penalty",
                "seed",
                "service_tier",
                "tool_choice",  # it knows "auto" alone
                "top_k",
                "top_logprobs",
            }
        ),
    ),
)

_XAI: Final = Vendor(
    name="xai",
    title="xAI",
    base_url="https://api.x.ai/v1",
    paths={CHAT: "/chat/completions", RESPONSES: "/responses"},
    key_env="XAI_API_KEY",
    base_url_env="XAI_BASE_URL",
    price_source="x-ai",
    # docs.x.ai: chat is deprecated in favour of Responses.
    preferred=(("", RESPONSES),),
    quirks=Quirks(
        developer_role=False,
        output_excludes_reasoning=True,
        reasoning_field="reasoning_content",
        reasoning_switch="effort",
        rejects=frozenset({"metadata", "top_k", "video_url"}),
    ),
)

_OLLAMA: Final = Vendor(
    name="ollama",
    title="Ollama",
    base_url="http://127.0.0.1:11434/v1",
    paths={CHAT: "/chat/completions"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="OLLAMA_API_KEY",
    base_url_env="OLLAMA_BASE_URL",
    needs_key=False,
    quirks=Quirks(
        max_tokens_field="max_tokens",
        developer_role=False,
        reasoning_field="reasoning",
        reasoning_switch="effort",
        rejects=frozenset(
            {"metadata", "n", "parallel_tool_calls", "service_tier", "tool_choice", "top_k", "video_url"}
        ),
    ),
)

_VLLM: Final = Vendor(
    name="vllm",
    title="vLLM",
    base_url="http://127.0.0.1:8000/v1",
    paths={CHAT: "/chat/completions"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="VLLM_API_KEY",
    base_url_env="VLLM_BASE_URL",
    needs_key=False,
    quirks=Quirks(
        max_tokens_field="max_tokens",
        developer_role=False,
        reasoning_field="reasoning_content",
        reasoning_switch="effort",
    ),
)

_COMPATIBLE: Final = Vendor(
    name="openai-compatible",
    title="OpenAI-compatible server",
    # Has no address of its own: whoever adds it says where it is.
    base_url="",
    paths={CHAT: "/chat/completions"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="OPENAI_COMPATIBLE_API_KEY",
    base_url_env="OPENAI_COMPATIBLE_BASE_URL",
    needs_key=False,
    quirks=Quirks(
        max_tokens_field="max_tokens",
        developer_role=False,
        reasoning_field="reasoning_content",
        reasoning_switch="effort",
        call_signatures=True,
    ),
)

_MISTRAL: Final = Vendor(
    name="mistral",
    title="Mistral",
    base_url="https://api.mistral.ai/v1",
    paths={CHAT: "/chat/completions"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="MISTRAL_API_KEY",
    base_url_env="MISTRAL_BASE_URL",
    price_source="mistral",
    # Unknown fields are refused with 422; usage always stands in the last chunk; a seed is called random_seed.
    quirks=Quirks(
        max_tokens_field="max_tokens",
        developer_role=False,
        stream_usage_option=False,
        rejects=frozenset(
            {"logit_bias", "logprobs", "metadata", "seed", "service_tier", "top_k", "top_logprobs", "user", "video_url"}
        ),
    ),
)

_GROQ: Final = Vendor(
    name="groq",
    title="Groq",
    base_url="https://api.groq.com/openai/v1",
    paths={CHAT: "/chat/completions"},
    key_env="GROQ_API_KEY",
    base_url_env="GROQ_BASE_URL",
    price_source="groq",
    # console.groq.com/docs/openai, *Currently unsupported features*: each is answered with 400.
    quirks=Quirks(
        developer_role=False,
        reasoning_field="reasoning",
        reasoning_switch="effort",
        rejects=frozenset({"logit_bias", "logprobs", "n", "top_k", "top_logprobs", "video_url"}),
    ),
)

_DEEPSEEK: Final = Vendor(
    name="deepseek",
    title="DeepSeek",
    base_url="https://api.deepseek.com/v1",
    paths={CHAT: "/chat/completions"},
    key_env="DEEPSEEK_API_KEY",
    base_url_env="DEEPSEEK_BASE_URL",
    price_source="deepseek",
    quirks=Quirks(
        max_tokens_field="max_tokens",
        developer_role=False,
        reasoning_field="reasoning_content",
        reasoning_switch="thinking",
        rejects=frozenset(
            {"json_schema", "metadata", "n", "parallel_tool_calls", "seed", "service_tier", "top_k", "video_url"}
        ),
    ),
)

_AZURE: Final = Vendor(
    name="azure",
    title="Azure OpenAI",
    # Its own for each resource: https://<resource>.openai.azure.com/openai/v1. Models are named by deployment.
    base_url="",
    paths={CHAT: "/chat/completions", RESPONSES: "/responses"},
    embedding_paths={CHAT: "/embeddings"},
    key_env="AZURE_OPENAI_API_KEY",
    base_url_env="AZURE_OPENAI_BASE_URL",
    key_header="api-key",
    key_prefix="",
    price_source="azure",
    quirks=Quirks(reasoning_switch="effort", rejects=frozenset({"top_k", "video_url"})),
)

_ANTHROPIC: Final = Vendor(
    name="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com",
    paths={MESSAGES: "/v1/messages"},
    count_paths={MESSAGES: "/v1/messages/count_tokens"},
    key_env="ANTHROPIC_API_KEY",
    base_url_env="ANTHROPIC_BASE_URL",
    key_header="x-api-key",
    key_prefix="",
    price_source="anthropic",
)

_GEMINI: Final = Vendor(
    name="gemini",
    title="Google Gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    paths={GEMINI: "/models/{model}:generateContent"},
    stream_paths={GEMINI: "/models/{model}:streamGenerateContent?alt=sse"},
    embedding_paths={
        GEMINI: "/models/{model}:batchEmbedContents",
        "gemini-embed-content": "/models/{model}:embedContent",
    },
    count_paths={GEMINI: "/models/{model}:countTokens"},
    key_env="GEMINI_API_KEY",
    base_url_env="GEMINI_BASE_URL",
    key_header="x-goog-api-key",
    key_prefix="",
    price_source="google",
)

_SANDBOX: Final = Vendor(
    name="sandbox",
    title="Sandbox (built in, deterministic)",
    # Where `samovar sandbox` listens by default; the built-in one says its own port.
    base_url="http://127.0.0.1:8090/v1",
    paths={CHAT: "/chat/completions", MESSAGES: "/messages"},
    embedding_paths={CHAT: "/embeddings"},
    count_paths={MESSAGES: "/messages/count_tokens"},
    key_env=None,
    base_url_env="SANDBOX_BASE_URL",
    needs_key=False,
    quirks=Quirks(reasoning_field="reasoning_content", reasoning_switch="effort"),
)

VENDORS: Final[Mapping[str, Vendor]] = MappingProxyType(
    {
        vendor.name: vendor
        for vendor in (
            _OPENAI,
            _OPENROUTER,
            _BIGMODEL,
            _XAI,
            _OLLAMA,
            _VLLM,
            _MISTRAL,
            _GROQ,
            _DEEPSEEK,
            _AZURE,
            _COMPATIBLE,
            _ANTHROPIC,
            _GEMINI,
            _SANDBOX,
        )
    }
)
"""Every vendor we know, by name."""
