"""Vision: pictures and a prompt in, words out."""

from collections.abc import Mapping
from typing import Any, Final

from samovar.app.described import Described
from samovar.domains.vision.model.asking import MAX_IMAGES, VisionAsk
from samovar.domains.vision.model.surface import VisionAnswer

_FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "The same fields as text, `variables` and `params` as JSON, and each picture as a file.",
    "properties": {
        "image": {"type": "array", "maxItems": MAX_IMAGES, "items": {"type": "string", "format": "binary"}},
        "prompt": {"type": "string"},
        "provider": {"type": "string"},
        "model": {"type": "string"},
    },
    "additionalProperties": {"type": "string"},
}
_STATUSES: Final = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 502, 503, 504)

VISION: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", "/v1/vision/analyze"): Described(
        summary="What a prompt finds in pictures",
        request=VisionAsk,
        form=_FORM,
        response=VisionAnswer,
        streams=True,
        tag="vision",
        statuses=_STATUSES,
    ),
    ("POST", "/v1/vision/stream"): Described(
        summary="The same as a stream of OpenAI's chat chunks: usage and cost in the last, then `[DONE]`",
        request=VisionAsk,
        form=_FORM,
        response=VisionAnswer,
        streams=True,
        tag="vision",
        statuses=_STATUSES,
    ),
}
