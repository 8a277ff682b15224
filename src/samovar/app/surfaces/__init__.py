"""What the raw surfaces take and give, as types: the published schema where the code keeps bytes. One file a family.

The surfaces take every field of the vendor's own API; these types name the ones that every target understands, and allow
others beside them.
"""

from collections.abc import Mapping
from typing import Final

from samovar.app.described import Described
from samovar.app.surfaces.anthropic import ANTHROPIC
from samovar.app.surfaces.files import FILES
from samovar.app.surfaces.gemini import GOOGLE
from samovar.app.surfaces.openai import OPENAI
from samovar.app.surfaces.prompts import PROMPTS
from samovar.app.surfaces.storage import STORAGE
from samovar.app.surfaces.uploads import UPLOADS
from samovar.app.surfaces.vision import VISION

DOCUMENTED: Final[Mapping[tuple[str, str], Described]] = {
    **OPENAI,
    **ANTHROPIC,
    **GOOGLE,
    **VISION,
    **PROMPTS,
    **FILES,
    **UPLOADS,
    **STORAGE,
}
"""Method and route template to what the document says of it."""
