"""OpenAI's embeddings, as a surface and as the language of all vendors that imitate it.

Source: https://platform.openai.com/docs/api-reference/embeddings/create. Inputs that are neither texts nor tokens (some
servers take images) pass through to a vendor of this language, and are refused by the rest.
"""

import base64
import struct
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from samovar.ports.dialect import BadAnswer, Head, Quirks, Vendor
from samovar.ports.embeddings import Embeddings, EmbeddingsRequest, Input
from samovar.ports.json_requests import UNREADABLE, Refusals, bounded_nesting, check_text, decode, flawed
from samovar.ports.llm import ChatRequest, Message, Role, Text, Usage
from samovar.providers.openai.errors import error_event, is_error
from samovar.providers.openai.usage import usage_of
from samovar.providers.openai.wire import ABSENT, OWN_FIELDS, encode, is_null

_WEIGHT_OF_ONE: Final = "####"
"""What a token that came as a number weighs in an estimate: four characters."""
_KNOWN: Final = frozenset({"model", "input", "dimensions", "encoding_format", "user"}) | OWN_FIELDS


class _Head(Struct, frozen=True):
    model: Annotated[str, Meta(min_length=1)]
    input: Raw
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    drop_params: bool | None = None


class _Body(Struct, frozen=True):
    model: Annotated[str, Meta(min_length=1)]
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: str | None = None
    drop_params: bool | None = None


class _Answer(Struct, frozen=True):
    data: list[Raw] | None = None
    usage: Raw = ABSENT
    error: Raw = ABSENT
    object: str | None = None


class _Vector(Struct, frozen=True):
    index: int
    embedding: list[float]


_VECTORS: Final = msgspec.json.Decoder(_Vector)
_PLAIN: Final = Quirks()


class OpenAIEmbeddings:
    """See :class:`samovar.ports.embeddings.EmbeddingsSurface`, and ``EmbeddingsLanguage``."""

    name = "openai-embeddings"

    # -- as a surface

    @bounded_nesting
    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed`` with the path of the flaw."""
        check_text(body)
        head = decode(body, _Head)
        if bytes(head.input) in (b"null", b'""', b"[]"):
            raise flawed("$.input", "say at least one text")
        return Head(model=head.model, drop_params=head.drop_params is True)

    @bounded_nesting
    def read_request(self, body: bytes) -> EmbeddingsRequest:
        """Raises ``Malformed`` with the path of the flaw."""
        wanted = decode(body, _Body)
        if wanted.encoding_format not in (None, "float", "base64"):
            raise flawed("$.encoding_format", "`float` or `base64`")
        fields = decode(body, dict[str, Raw])
        return EmbeddingsRequest(
            model=wanted.model,
            inputs=_inputs(wanted.input),
            dimensions=wanted.dimensions,
            as_base64=wanted.encoding_format == "base64",
            drop_params=wanted.drop_params is True,
            other_fields=tuple(name for name, raw in fields.items() if name not in _KNOWN and not is_null(raw)),
        )

    def texts(self, body: bytes) -> tuple[Input, ...]:
        """Raises ``Malformed``."""
        return self.read_request(body).inputs

    def as_prompt(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed``."""
        request = self.read_request(body)
        texts = (item if isinstance(item, str) else _WEIGHT_OF_ONE * len(item) for item in request.inputs)
        said = Message(role=Role.USER, parts=tuple(Text(text=text) for text in texts))
        return ChatRequest(model=request.model, messages=(said,))

    @bounded_nesting
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """The caller's fields byte for byte, but for ``model`` and our own."""
        fields: dict[str, object] = {**decode(body, dict[str, Raw]), "model": model}
        for name in OWN_FIELDS:
            fields.pop(name, None)
        return encode(fields)

    @bounded_nesting
    def amended(self, body: bytes, *, texts: tuple[str, ...] | None, drop_params: bool) -> bytes:
        """The caller's other fields byte for byte."""
        fields: dict[str, object] = {**decode(body, dict[str, Raw])}
        if texts is not None:
            fields["input"] = texts
        if drop_params:
            fields.setdefault("drop_params", True)
        return encode(fields)

    def tap(self, body: bytes, *, vendor: Vendor) -> Usage | None:
        """Raises ``BadAnswer``, or ``UpstreamError`` for an error in a 200."""
        return _read(body, quirks=vendor.quirks)[1]

    def write_answer(self, found: Embeddings, *, request: EmbeddingsRequest, usage: Usage) -> bytes:
        """A ``list`` of ``embedding``, in the order of the inputs."""
        data = [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if request.as_base64 else vector}
            for index, vector in enumerate(found.vectors)
        ]
        count = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
        return encode({"object": "list", "data": data, "model": request.model, "usage": count})

    # -- as a vendor's language

    def write_request(self, request: EmbeddingsRequest, *, vendor: Vendor) -> bytes:
        """Numbers are what every server gives unasked. Raises ``Unsupported``."""
        refusals = Refusals(drop=request.drop_params)
        for name in request.other_fields:
            refusals.note(f"$.{name}", "no field of OpenAI's embeddings")
        refusals.settle(vendor.title)
        settings = {} if request.dimensions is None else {"dimensions": request.dimensions}
        return encode({"model": request.model, "input": request.inputs, **settings})

    def read_answer(self, body: bytes, *, inputs: int) -> Embeddings:
        """Raises ``BadAnswer`` for anything but ``inputs`` vectors, ``UpstreamError`` for an error in a 200."""
        data, usage = _read(body, quirks=_PLAIN)
        try:
            found = {vector.index: vector.embedding for raw in data if (vector := _VECTORS.decode(raw))}
        except UNREADABLE as error:
            raise BadAnswer(f"the provider's answer holds what is no vector: {error}") from error
        if len(data) != inputs or found.keys() != set(range(inputs)):
            raise BadAnswer(f"the provider answered {inputs} texts with {len(data)} vectors")
        return Embeddings(vectors=tuple(found[index] for index in range(inputs)), usage=usage)


def _read(body: bytes, *, quirks: Quirks) -> tuple[list[Raw], Usage | None]:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except UNREADABLE as error:
        raise BadAnswer(f"the provider's answer is no list of embeddings: {error}") from error
    if is_error(error=answer.error, kind=answer.object):
        raise error_event(body)
    if answer.data is None:
        raise BadAnswer("the provider's answer has no `data`")
    usage = usage_of(answer.usage, quirks=quirks)
    # A count of nothing for texts that are something is no count.
    return answer.data, usage if usage is not None and usage.input_tokens > 0 else None


def _inputs(given: str | list[str | int | list[int]]) -> tuple[Input, ...]:
    if isinstance(given, str):
        given = [given]
    numbers = [item for item in given if isinstance(item, int)]
    if numbers and len(numbers) == len(given):
        return (numbers,)
    found = [item for item in given if not isinstance(item, int)]
    if len(found) != len(given):
        raise flawed("$.input", "either texts or tokens, not both")
    if not found or any(len(item) == 0 for item in found):
        raise flawed("$.input", "may not be empty, nor hold an empty text")
    return tuple(found)


def _base64(vector: list[float]) -> str:
    # Little-endian float32, as the openai SDK reads it (openai-python, resources/embeddings.py).
    try:
        packed = struct.pack(f"<{len(vector)}f", *vector)
    except OverflowError as error:
        raise BadAnswer("the provider's vector holds a number beyond float32") from error
    return base64.b64encode(packed).decode("ascii")
