"""What each vendor takes as an image, as data.

Sources, read November 2026: platform.openai.com "Images and vision"; docs.anthropic.com "Vision"; ai.google.dev "Image
understanding" and cloud.google.com "Image understanding"; docs.x.ai "Image understanding"; openrouter.ai "Image inputs";
docs.bigmodel.cn "Chat completions" and "GLM-4.5V". Bytes are those of the image itself: in base64 it grows by a third.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from samovar.ports.images import ImageKind, ImageLimits, tightest

_EVERY: Final = frozenset({ImageKind.JPEG, ImageKind.PNG, ImageKind.WEBP})
_PLAIN: Final = frozenset({ImageKind.JPEG, ImageKind.PNG})

# "High" detail first scales into a square of 2,048 px; images of up to 20 MB, 50 MB a request.
_OPENAI: Final = ImageLimits(kinds=_EVERY, longest_side_px=2_048, max_pixels=2_048 * 2_048, max_bytes=15_000_000)
# Refuses a side over 8,000 px and, in base64, anything over 5 MB; scales down to 1,568 px by itself, which costs time.
_ANTHROPIC: Final = ImageLimits(kinds=_EVERY, longest_side_px=1_568, max_pixels=1_568 * 1_568, max_bytes=3_750_000)
# Scales into 3,072 px; 7 MB a file in the request at Vertex, 20 MB a request at the Gemini API.
_GEMINI: Final = ImageLimits(kinds=_EVERY, longest_side_px=3_072, max_pixels=3_072 * 3_072, max_bytes=7_000_000)
# JPEG and PNG alone, 10 MiB in its older and 20 MiB in its newer pages; says nothing of pixels.
_XAI: Final = ImageLimits(kinds=_PLAIN, longest_side_px=2_048, max_pixels=2_048 * 2_048, max_bytes=7_500_000)
# JPEG and PNG alone, 5 MB, 6,000 px a side.
_BIGMODEL: Final = ImageLimits(kinds=_PLAIN, longest_side_px=2_048, max_pixels=2_048 * 2_048, max_bytes=3_750_000)

ANY_VENDOR: Final = tightest(_OPENAI, _ANTHROPIC, _GEMINI, _XAI, _BIGMODEL)
"""What everybody takes: for a vendor that is not in the table, and for calls that may go anywhere."""

VENDOR_LIMITS: Final[Mapping[str, ImageLimits]] = MappingProxyType(
    {
        "openai": _OPENAI,
        "azure": _OPENAI,
        "anthropic": _ANTHROPIC,
        "gemini": _GEMINI,
        "xai": _XAI,
        "bigmodel": _BIGMODEL,
        # It hands on to any of the others, and says nothing of sizes itself.
        "openrouter": ANY_VENDOR,
    }
)


def limits_of(vendor: str) -> ImageLimits:
    """By the vendor's name in ``providers/vendors.py``; :data:`ANY_VENDOR` for one that the table does not know."""
    return VENDOR_LIMITS.get(vendor, ANY_VENDOR)
