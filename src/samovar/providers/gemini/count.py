"""Gemini's ``countTokens`` (https://ai.google.dev/api/tokens): contents alone, or a whole request to be counted."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw

from samovar.ports.dialect import BadAnswer, Head, Vendor
from samovar.ports.json_requests import UNREADABLE, bounded_nesting, decode, flawed
from samovar.ports.llm import ChatRequest
from samovar.providers.gemini.passthrough import splice
from samovar.providers.gemini.request.read import read_request
from samovar.providers.gemini.spelling import camel
from samovar.providers.gemini.wire import OWN_FIELDS, said

_WHOLE: Final = "generateContentRequest"


class _Answer(msgspec.Struct, rename="camel"):
    total_tokens: Annotated[int, Meta(ge=0)]


class GeminiCount:
    """See :class:`samovar.ports.embeddings.CountSurface`. The model stands in the path, so a head has ``model=""``."""

    name = "gemini-count-tokens"

    @bounded_nesting
    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed`` with the path of the flaw."""
        fields = _fields(body)
        whole = fields.get(_WHOLE)
        asked = fields if whole is None else _fields(whole)
        where = "$.contents" if whole is None else f"$.{_WHOLE}.contents"
        if not said(asked.get("contents", Raw(b""))) or not decode(asked["contents"], list[Raw], where=where):
            raise flawed(where, "say at least one content")
        return Head(model="", drop_params=any(bytes(fields.get(name, b"")) == b"true" for name in OWN_FIELDS))

    @bounded_nesting
    def as_prompt(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed`` with the path of the flaw, inside the whole request where there is one."""
        return read_request(bytes(_fields(body).get(_WHOLE, body)))

    @bounded_nesting
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """As for ``generateContent``; a whole request names the model beside the path."""
        fields = _fields(body)
        if _WHOLE not in fields:
            return splice(body, vendor=vendor)
        whole = _fields(splice(bytes(fields[_WHOLE]), vendor=vendor))
        named = "models/" + model.removeprefix("models/")
        return msgspec.json.encode({_WHOLE: {**whole, "model": named}})

    def tap(self, body: bytes) -> int:
        """Raises ``BadAnswer``."""
        try:
            return msgspec.json.decode(body, type=_Answer).total_tokens
        except UNREADABLE as error:
            raise BadAnswer(f"the provider's answer is no count of tokens: {error}") from error

    def write_answer(self, tokens: int) -> bytes:
        """``{"totalTokens"}``."""
        return msgspec.json.encode(_Answer(tokens))


def _fields(raw: bytes | Raw) -> dict[str, Raw]:
    return {name if name in OWN_FIELDS else camel(name): value for name, value in decode(raw, dict[str, Raw]).items()}
