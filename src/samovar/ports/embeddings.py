"""Calls that are answered with figures instead of words: vectors for texts, and a count of tokens.

As with :mod:`samovar.ports.dialect`, a caller and a vendor of one language are joined without a translation; other vendors
are asked in their own. Everything here is pure and synchronous.
"""

from typing import Protocol, TypeAlias

import msgspec

from samovar.ports.dialect import Head, Vendor
from samovar.ports.llm import ChatRequest, Usage

Input: TypeAlias = str | list[int]
"""A text, or one that its caller has cut into tokens (numbers of the model's own vocabulary)."""


class EmbeddingsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``inputs`` is never empty. ``dimensions`` is the wanted length of a vector, ``None`` the model's own. ``as_base64``
    asks for little-endian float32 in base64 instead of numbers. ``other_fields`` are those with no place here."""

    model: str
    inputs: tuple[Input, ...]
    dimensions: int | None = None
    as_base64: bool = False
    drop_params: bool = False
    other_fields: tuple[str, ...] = ()


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """A vector for each input, in their order. ``usage`` is ``None`` where the vendor says none."""

    vectors: tuple[list[float], ...]
    usage: Usage | None


class FigureSurface(Protocol):
    """What both kinds of figures need of a caller's language."""

    name: str
    """What the usage log calls the surface."""

    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed``."""
        ...

    def as_prompt(self, body: bytes) -> ChatRequest:
        """What is said in the request, as a prompt: only to be weighed for an estimate. Raises ``Malformed``."""
        ...

    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """The caller's bytes with the vendor's name of the model, and without our own fields."""
        ...


class EmbeddingsSurface(FigureSurface, Protocol):
    """A caller's language of embeddings, which vendors may speak too."""

    def read_request(self, body: bytes) -> EmbeddingsRequest:
        """Raises ``Malformed``, and ``Unsupported`` for what other vendors cannot be asked."""
        ...

    def texts(self, body: bytes) -> tuple[Input, ...]:
        """All that is said in the request, for the rules of a key. Raises ``Malformed``, and ``Unsupported`` for what no rule
        can look into."""
        ...

    def amended(self, body: bytes, *, texts: tuple[str, ...] | None, drop_params: bool) -> bytes:
        """The caller's bytes with these in the places of :meth:`texts`, ``None`` for his own, and with ``drop_params`` where he
        does not say it."""
        ...

    def tap(self, body: bytes, *, vendor: Vendor) -> Usage | None:
        """The usage of an answer that passes through, ``None`` where it says none. Raises ``BadAnswer``, or
        ``UpstreamError`` for an error in a 200."""
        ...

    def write_answer(self, found: Embeddings, *, request: EmbeddingsRequest, usage: Usage) -> bytes:
        """The answer in the caller's language."""
        ...


class EmbeddingsLanguage(Protocol):
    """How a vendor who does not speak the caller's language is asked."""

    def write_request(self, request: EmbeddingsRequest, *, vendor: Vendor) -> bytes:
        """``request.model`` is already the vendor's own name. Raises ``Unsupported``."""
        ...

    def read_answer(self, body: bytes, *, inputs: int) -> Embeddings:
        """Raises ``BadAnswer`` for anything but ``inputs`` vectors."""
        ...


class CountSurface(FigureSurface, Protocol):
    """A caller's language of counting tokens."""

    def tap(self, body: bytes) -> int:
        """The tokens of an answer that passes through. Raises ``BadAnswer``."""
        ...

    def write_answer(self, tokens: int) -> bytes:
        """The answer in the caller's language."""
        ...
