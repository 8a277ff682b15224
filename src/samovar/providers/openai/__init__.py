"""OpenAI's chat API, both ways: :class:`OpenAIChat` is all that others need. Every OpenAI-compatible vendor speaks it.

Invariants: what one caller and one vendor of this dialect say to each other passes byte for byte, but for the model's name,
usage that we ask for and take out again, and our own fields; what is translated loses nothing silently.
"""

from samovar.providers.openai.dialect import OpenAIChat

__all__ = ["OpenAIChat"]
