"""Gemini's ``batchEmbedContents``, as the language of a vendor (https://ai.google.dev/api/embeddings)."""

from typing import Final

import msgspec

from samovar.ports.dialect import BadAnswer, Vendor
from samovar.ports.embeddings import Embeddings, EmbeddingsRequest
from samovar.ports.json_requests import UNREADABLE, Refusals
from samovar.ports.llm import Usage

_MODELS: Final = "models/"


class _Values(msgspec.Struct):
    values: list[float]


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[_Values]
    usage_metadata: _Usage | None = None


class GeminiEmbeddings:
    """See :class:`samovar.ports.embeddings.EmbeddingsLanguage`."""

    def write_request(self, request: EmbeddingsRequest, *, vendor: Vendor) -> bytes:
        """One request of the batch for each text. Raises ``Unsupported`` for tokens: this API takes words alone."""
        refusals = Refusals(drop=request.drop_params)
        for name in request.other_fields:
            refusals.note(f"$.{name}", "no field of Gemini's embeddings")
        # Tokens are the input itself: no drop_params can leave them out.
        tokens = Refusals(drop=False)
        texts: list[str] = []
        for index, item in enumerate(request.inputs):
            if isinstance(item, str):
                texts.append(item)
            else:
                tokens.note(f"$.input[{index}]", "tokens instead of a text")
        tokens.settle(vendor.title)
        refusals.settle(vendor.title)
        settings = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
        named = _MODELS + request.model.removeprefix(_MODELS)
        batch = [{"model": named, "content": {"parts": [{"text": text}]}, **settings} for text in texts]
        return msgspec.json.encode({"requests": batch})

    def read_answer(self, body: bytes, *, inputs: int) -> Embeddings:
        """Raises ``BadAnswer`` for anything but ``inputs`` vectors. Older models say no usage."""
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except UNREADABLE as error:
            raise BadAnswer(f"the provider's answer holds no embeddings: {error}") from error
        if len(answer.embeddings) != inputs:
            raise BadAnswer(f"the provider answered {inputs} texts with {len(answer.embeddings)} vectors")
        count = answer.usage_metadata.prompt_token_count if answer.usage_metadata else None
        usage = Usage(input_tokens=count) if count is not None and count > 0 else None
        return Embeddings(vectors=tuple(item.values for item in answer.embeddings), usage=usage)
