"""The wire languages that Samovar speaks, one object each."""

from collections.abc import Mapping

from samovar.domains.gateway.service import Figures
from samovar.ports.dialect import Dialect
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.anthropic.count import AnthropicCount
from samovar.providers.gemini import GeminiContent
from samovar.providers.gemini.count import GeminiCount
from samovar.providers.gemini.embedding_surfaces import GeminiBatchEmbedContents, GeminiEmbedContent
from samovar.providers.gemini.embeddings import GeminiEmbeddings
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai.embeddings import OpenAIEmbeddings
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import CHAT, GEMINI


def dialects() -> Mapping[str, Dialect]:
    """Those of talk, by their names."""
    found: tuple[Dialect, ...] = (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), GeminiContent())
    return {dialect.name: dialect for dialect in found}


def figures() -> Figures:
    """Those of embeddings and of counts of tokens."""
    openai = OpenAIEmbeddings()
    surfaces = (openai, GeminiBatchEmbedContents(), GeminiEmbedContent())
    return Figures(
        embeddings={surface.name: surface for surface in surfaces},
        languages={GEMINI: GeminiEmbeddings(), CHAT: openai},
        counts={surface.name: surface for surface in (AnthropicCount(), GeminiCount())},
    )
