"""Gemini's ``batchEmbedContents`` and ``embedContent``, as the languages of callers (https://ai.google.dev/api/embeddings).

The second is one request of the first. The model stands in the path, so a head has ``model=""``; what a request says of it is
overwritten, as Google wants both to be one. Parts that are no texts pass through to Gemini, and are refused by the rest.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import BadAnswer, Head, Unsupported, Vendor
from samovar.ports.embeddings import Embeddings, EmbeddingsRequest, Input
from samovar.ports.json_requests import UNREADABLE, bounded_nesting, check_text, decode, flawed
from samovar.ports.llm import ChatRequest, Message, Role, Text, Usage
from samovar.providers.gemini.failures import upstream_error
from samovar.providers.gemini.spelling import camel
from samovar.providers.gemini.wire import ABSENT, OWN_FIELDS, ErrorWire, said

_KNOWN: Final = frozenset({"model", "content", "outputDimensionality"})

_Fields = dict[str, Raw]


class _Content(msgspec.Struct):
    parts: Annotated[list[Raw], Meta(min_length=1)]


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[Raw] | None = None
    embedding: Raw = ABSENT
    usage_metadata: _Usage | None = None
    error: ErrorWire | None = None


class GeminiBatchEmbedContents:
    """See :class:`samovar.ports.embeddings.EmbeddingsSurface`."""

    name = "gemini-batch-embed-contents"

    @bounded_nesting
    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed`` with the path of the flaw."""
        check_text(body)
        top, requests = self._opened(body)
        for where, fields in requests:
            _parts(fields, where=where)
        return Head(model="", drop_params=any(bytes(top.get(name, b"")) == b"true" for name in OWN_FIELDS))

    @bounded_nesting
    def read_request(self, body: bytes) -> EmbeddingsRequest:
        """The texts of a content's parts are one text, a line each. Raises ``Malformed``, ``Unsupported``."""
        top, requests = self._opened(body)
        lengths = {_length(fields, where=where) for where, fields in requests}
        if len(lengths) > 1:
            raise _cannot("$.requests", "vectors of different lengths in one call")
        others = {name for _, fields in requests for name, raw in fields.items() if name not in _KNOWN and said(raw)}
        return EmbeddingsRequest(
            model="",
            inputs=tuple("\n".join(_texts(fields, where=where)) for where, fields in requests),
            dimensions=lengths.pop(),
            drop_params=any(bytes(top.get(name, b"")) == b"true" for name in OWN_FIELDS),
            other_fields=tuple(sorted(others | (top.keys() - OWN_FIELDS))),
        )

    @bounded_nesting
    def texts(self, body: bytes) -> tuple[Input, ...]:
        """Those of the parts, and after them the title, of each request. Raises ``Malformed``, ``Unsupported``."""
        found: list[Input] = []
        for where, fields in self._opened(body)[1]:
            found += _texts(fields, where=where)
            found += [] if (title := _title(fields, where=where)) is None else [title]
        return tuple(found)

    def as_prompt(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed``, ``Unsupported``."""
        parts = tuple(Text(text=text) for text in self.texts(body) if isinstance(text, str))
        return ChatRequest(model="", messages=(Message(role=Role.USER, parts=parts),))

    @bounded_nesting
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """The caller's fields byte for byte, but for models and our own."""
        top, requests = self._opened(body)
        named = Raw(msgspec.json.encode("models/" + model.removeprefix("models/")))
        kept = {name: raw for name, raw in top.items() if name not in OWN_FIELDS}
        return self._closed(kept, [{**fields, "model": named} for _, fields in requests])

    @bounded_nesting
    def amended(self, body: bytes, *, texts: tuple[str, ...] | None, drop_params: bool) -> bytes:
        """The caller's other fields byte for byte."""
        top, requests = self._opened(body)
        if drop_params and not top.keys() & OWN_FIELDS:
            top["drop_params"] = Raw(b"true")
        changed = [fields for _, fields in requests]
        if texts is not None:
            rest = iter(texts)
            changed = [_with_texts(fields, rest, where=where) for where, fields in requests]
        return self._closed(top, changed)

    def tap(self, body: bytes, *, vendor: Vendor) -> Usage | None:
        """Older models say no usage. Raises ``BadAnswer``, or ``UpstreamError`` for an error in a 200."""
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except UNREADABLE as error:
            raise BadAnswer(f"the provider's answer holds no embeddings: {error}") from error
        if answer.error is not None:
            raise upstream_error(answer.error)
        if not self._is_whole(answer):
            raise BadAnswer("the provider's answer holds no embeddings")
        count = answer.usage_metadata.prompt_token_count if answer.usage_metadata else None
        return Usage(input_tokens=count) if count is not None and count > 0 else None

    def write_answer(self, found: Embeddings, *, request: EmbeddingsRequest, usage: Usage) -> bytes:
        """``{"embeddings", "usageMetadata"}``."""
        return _answered({"embeddings": [{"values": vector} for vector in found.vectors]}, usage)

    def _opened(self, body: bytes) -> tuple[_Fields, list[tuple[str, _Fields]]]:
        """What is said of the call, and each request with its place, all names in camel case. Raises ``Malformed``."""
        top = _fields(body, where="$")
        requests = decode(top.pop("requests", Raw(b"[]")), list[Raw], where="$.requests")
        if not requests:
            raise flawed("$.requests", "say at least one request")
        places = [f"$.requests[{at}]" for at in range(len(requests))]
        return top, [(where, _fields(raw, where=where)) for where, raw in zip(places, requests, strict=True)]

    def _closed(self, top: _Fields, requests: list[_Fields]) -> bytes:
        return msgspec.json.encode({**top, "requests": requests})

    def _is_whole(self, answer: _Answer) -> bool:
        return answer.embeddings is not None


class GeminiEmbedContent(GeminiBatchEmbedContents):
    """One request without a batch around it."""

    name = "gemini-embed-content"

    def write_answer(self, found: Embeddings, *, request: EmbeddingsRequest, usage: Usage) -> bytes:
        """``{"embedding", "usageMetadata"}``."""
        return _answered({"embedding": {"values": found.vectors[0]}}, usage)

    def _opened(self, body: bytes) -> tuple[_Fields, list[tuple[str, _Fields]]]:
        fields = _fields(body, where="$")
        top = {name: fields.pop(name) for name in OWN_FIELDS & fields.keys()}
        return top, [("$", fields)]

    def _closed(self, top: _Fields, requests: list[_Fields]) -> bytes:
        return msgspec.json.encode({**requests[0], **top})

    def _is_whole(self, answer: _Answer) -> bool:
        return said(answer.embedding)


def _fields(raw: bytes | Raw, *, where: str) -> _Fields:
    return {
        name if name in OWN_FIELDS else camel(name): value for name, value in decode(raw, _Fields, where=where).items()
    }


def _parts(fields: _Fields, *, where: str) -> list[tuple[str, _Fields]]:
    if "content" not in fields:
        raise flawed(f"{where}.content", "this field is required")
    raws = decode(fields["content"], _Content, where=f"{where}.content").parts
    return [
        (at, decode(raw, _Fields, where=at))
        for at, raw in ((f"{where}.content.parts[{n}]", r) for n, r in enumerate(raws))
    ]


def _texts(fields: _Fields, *, where: str) -> list[str]:
    texts: list[str] = []
    for at, part in _parts(fields, where=where):
        if "text" not in part:
            raise _cannot(at, "anything but a text")
        texts.append(decode(part["text"], str, where=f"{at}.text"))
    return texts


def _title(fields: _Fields, *, where: str) -> str | None:
    raw = fields.get("title", ABSENT)
    return decode(raw, str, where=f"{where}.title") if said(raw) else None


def _length(fields: _Fields, *, where: str) -> int | None:
    raw = fields.get("outputDimensionality", ABSENT)
    if not said(raw):
        return None
    return decode(raw, Annotated[int, Meta(ge=1)], where=f"{where}.outputDimensionality")  # type: ignore[arg-type]


def _with_texts(fields: _Fields, texts: Iterator[str], *, where: str) -> _Fields:
    parts = [{**part, "text": next(texts)} for _, part in _parts(fields, where=where)]
    content = {**decode(fields["content"], _Fields, where=f"{where}.content"), "parts": parts}
    changed = {**fields, "content": Raw(msgspec.json.encode(content))}
    if _title(fields, where=where) is not None:
        changed["title"] = Raw(msgspec.json.encode(next(texts)))
    return changed


def _answered(vectors: dict[str, Any], usage: Usage) -> bytes:
    return msgspec.json.encode({**vectors, "usageMetadata": {"promptTokenCount": usage.input_tokens}})


def _cannot(where: str, what: str) -> Unsupported:
    return Unsupported(f"This cannot be asked here: {where}: {what}.", flaws=[Flaw(where, what)])
