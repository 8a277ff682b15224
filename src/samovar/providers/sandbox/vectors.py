"""Embeddings without a model: equal texts get equal vectors, texts that share words get near ones.

Each word, case aside, stands for a few coordinates that its hash names; a text is the sum of its words plus a small part of
its own, so that the order of words counts too. All vectors have length 1.
"""

import math
import re
from array import array
from hashlib import blake2b
from struct import Struct
from typing import Final

from samovar.providers.sandbox.errors import Problem, Refused, bad_request

MAX_DIMENSIONS: Final = 3_072
_PER_WORD: Final = 16
_OWN_WEIGHT: Final = 0.1
_WORD: Final = re.compile(r"[^\W_]+|#\d+")
_OWN_MODELS: Final = {"sandbox/embed": 1_536, "embed": 1_536}
_STAND_INS: Final = re.compile(
    r"(?:[a-z0-9-]+/)?(?:(?:text-|gemini-|)embedding-|(?:mistral|codestral)-embed)[A-Za-z0-9._:-]*"
)
_NATURAL: Final = {"mistral-embed": 1_024, "codestral-embed": 1_536}
_LARGE_STAND_INS: Final = ("text-embedding-3-large", "gemini-embedding-")
_numbers: Final = Struct(f"<{_PER_WORD}H").unpack


def dimensions_of(model: str, wanted: int | None, *, param: str) -> int:
    """How long ``model``'s vectors are. Raises ``Refused``: 404 for a model that embeds nothing, 400 for a bad length."""
    natural = _OWN_MODELS.get(model)
    if natural is None:
        if not _STAND_INS.fullmatch(model):
            message = f"The model `{model[:100]}` does not exist or makes no embeddings; sandbox/embed does."
            raise Refused(Problem(status=404, message=message, code="model_not_found", param="model"))
        natural = 3_072 if any(name in model for name in _LARGE_STAND_INS) else 1_536
        natural = next((length for name, length in _NATURAL.items() if name in model), natural)
    if wanted is None:
        return natural
    if not 1 <= wanted <= MAX_DIMENSIONS:
        raise bad_request(f"dimensions must be from 1 to {MAX_DIMENSIONS}, not {wanted}.", param=param)
    return wanted


def unit_vector(text: str, dimensions: int) -> "array[float]":
    """The vector of ``text``, as 32-bit floats."""
    sums = [0.0] * dimensions
    for word in _WORD.findall(text.casefold()):
        for number in _numbers(_hash(word)):
            # The lowest bit is the sign, the rest the place.
            sums[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    for number in _numbers(_hash("\0" + text)):
        sums[(number >> 1) % dimensions] += _OWN_WEIGHT if number & 1 else -_OWN_WEIGHT
    length = math.sqrt(math.fsum(value * value for value in sums))
    if not length:
        # In very few dimensions the signs can cancel out.
        sums[0] = length = 1.0
    return array("f", [value / length for value in sums])


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=2 * _PER_WORD).digest()
