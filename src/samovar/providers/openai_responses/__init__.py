"""OpenAI's Responses API, both ways: :class:`OpenAIResponses` is all that others need.

Invariants: what one caller and one vendor of this dialect say to each other passes byte for byte, but for the model's name
and our own fields; an item that the core cannot hold stays whole as an ``Opaque`` part; items are told apart by their
``output_index``, never by their id, because some servers change the id in mid-stream.
"""

from samovar.providers.openai_responses.dialect import OpenAIResponses

__all__ = ["OpenAIResponses"]
