"""Gemini's ``generateContent``, both ways: :class:`GeminiContent` is all that others need, with :class:`StreamForm`.

Invariants: the model and whether it streams stand in the URL, never in a body; what one caller and one vendor of this
dialect say to each other passes byte for byte, but for our own fields; what is translated loses nothing silently; usage
inside is inclusive, on the wire it is Gemini's.
"""

from samovar.providers.gemini.dialect import GeminiContent
from samovar.providers.gemini.framing import StreamForm

__all__ = ["GeminiContent", "StreamForm"]
