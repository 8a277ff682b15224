"""Anthropic's messages API, both ways: :class:`AnthropicMessages` is all that others need.

Invariants: what one caller and one vendor of this dialect say to each other passes byte for byte, but for the model's name
and our own fields; what is translated loses nothing silently; usage inside is inclusive, on the wire it is Anthropic's.
"""

from samovar.providers.anthropic.dialect import AnthropicMessages

__all__ = ["AnthropicMessages"]
