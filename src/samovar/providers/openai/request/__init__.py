"""Chat requests between OpenAI's format and the neutral core.

What the core has no place for goes through as ``Opaque`` parts of this dialect, told apart by their members: with
``role`` a whole message (the legacy ``function`` role), with ``type`` a content part or a custom tool call, with neither
further members of the message (``audio``, ``function_call``, ...).
"""

from samovar.providers.openai.request.read import read_request
from samovar.providers.openai.request.write import write_request

__all__ = ["read_request", "write_request"]
