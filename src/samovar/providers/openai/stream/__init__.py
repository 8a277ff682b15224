"""Streams of chat chunks between OpenAI's format and the neutral core."""

from samovar.providers.openai.stream.read import ChatStreamReader
from samovar.providers.openai.stream.write import KEEP_ALIVE, ChatStreamWriter

__all__ = ["KEEP_ALIVE", "ChatStreamReader", "ChatStreamWriter"]
