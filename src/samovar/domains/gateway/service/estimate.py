"""Usage where the provider's own word is missing: the one policy, for whole answers and for streams.

* The provider's last word stands once it has said why it stopped.
* Where an answer ended without usage, or before its end, its own count of the input stands if it gave one, else it is
  estimated from the request; of the output, the larger of its count and of what went through.
* A caller who left while a provider was at work is charged the input: providers count it from the moment they take a
  request.
* Four characters are a token, an image or another file a thousand. Such usage is marked ``estimated``.
"""

import re
from typing import Final

import msgspec

from samovar.domains.gateway.model import Call
from samovar.kernel.errors import SamovarError
from samovar.ports.llm import (
    ChatRequest,
    ChatResponse,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)

CHARS_A_TOKEN: Final = 4
TOO_MANY_TOKENS: Final = 1_000_000_000
TOKENS_A_FILE: Final = 1_000
SHORT_BYTES: Final = 16 * 1024
"""A body up to this is weighed by its bytes, where that is near enough."""
MOST_TOKENS_A_FILE: Final = 5_000
"""What the vendors count for a large picture; for some models more, and then the cost passes its hold, which is told."""
_PERHAPS_FILES: Final = re.compile(rb'"[ivfd]')


def settled(seen: Usage | None, *, call: Call, output_chars: int, ended: bool) -> Usage:
    """The usage to account for. ``ended`` is whether the provider said why it stopped."""
    if (
        seen is not None
        and ended
        and not seen.estimated
        and (seen.output_tokens or not output_chars)
        and is_credible(seen)
    ):
        return seen
    if seen is None or not _is_possible(seen):
        seen = Usage()
    return msgspec.structs.replace(
        seen,
        input_tokens=seen.input_tokens or _input_tokens(call),
        output_tokens=max(seen.output_tokens, -(-output_chars // CHARS_A_TOKEN)),
        estimated=True,
    )


def is_credible(usage: Usage) -> bool:
    """Whether it can be the usage of a call: one that says something has at least a token of input, and none has a billion.
    A provider that counts nothing must not make its calls free."""
    return usage.input_tokens > 0 and _is_possible(usage)


def _is_possible(usage: Usage) -> bool:
    return (
        0 <= usage.input_tokens < TOO_MANY_TOKENS
        and 0 <= usage.output_tokens < TOO_MANY_TOKENS
        and 0 <= usage.web_searches < TOO_MANY_TOKENS
    )


def answer_chars(response: ChatResponse) -> int:
    """Characters of everything the model said."""
    return sum(_chars(part) for part in response.parts)


def prompt_tokens(request: ChatRequest) -> int:
    """An estimate of the tokens of everything that is said to a model."""
    chars, files = _weigh(request)
    return -(-chars // CHARS_A_TOKEN) + files * TOKENS_A_FILE


def asked_tokens(call: Call) -> tuple[int, int]:
    """An estimate of the tokens a call says, and how many it may be answered (0 where it names no bound)."""
    if len(call.body) <= SHORT_BYTES:
        # Set right by the provider's usage in a moment: not worth reading every message for.
        return -(-len(call.body) // CHARS_A_TOKEN), call.head.max_output_tokens or 0
    read = call.as_prompt or call.surface.read_request
    try:
        request = read(call.body)
    except SamovarError:
        return -(-len(call.body) // CHARS_A_TOKEN), 0
    return prompt_tokens(request), max(0, request.max_output_tokens or 0)


def most_prompt_tokens(request: ChatRequest) -> int:
    """A bound on the tokens of everything that is said to a model: two for a character, which few scripts need."""
    return _weigh(request)[0] * 2 + most_file_tokens(request)


def most_file_tokens(request: ChatRequest) -> int:
    """A bound on the tokens of the files that a request holds or names."""
    return sum(map(_may_be_file, _parts(request))) * MOST_TOKENS_A_FILE


def may_hold_files(body: bytes) -> bool:
    """Whether a request may hold or name files: then its bytes say little of its tokens."""
    # Not searched for with `in`: before Python 3.12 that raises an error and drops it again, and each gateway call takes this
    # path.
    find = body.find
    if find(b"\\") >= 0 and find(b"\\u00") >= 0:
        # A letter in disguise.
        return True
    # One of these stands in all that do, in every dialect, as a name or a kind and so behind a quotation mark (or in
    # `input_image` and its like); to look for those alone takes a long text a tenth of the time.
    return _PERHAPS_FILES.search(body) is not None and (
        find(b"image") >= 0
        or find(b"video") >= 0
        or find(b"file") >= 0
        or find(b"inline") >= 0
        or find(b"document") >= 0
    )


def _input_tokens(call: Call) -> int:
    read = call.as_prompt or call.surface.read_request
    try:
        return prompt_tokens(read(call.body))
    except SamovarError:
        # A provider of the caller's own dialect takes what we cannot read: then its bytes are all there is to count.
        return -(-len(call.body) // CHARS_A_TOKEN)


def _weigh(request: ChatRequest) -> tuple[int, int]:
    parts = _parts(request)
    chars = sum(_chars(part) for part in parts)
    for tool in request.tools:
        chars += len(tool.name) + len(tool.description or "") + len(tool.schema or b"")
    return chars, sum(isinstance(part, Media) for part in parts)


def _parts(request: ChatRequest) -> list[Part]:
    parts = [part for message in request.messages for part in message.parts]
    parts.extend(inner for part in list(parts) if isinstance(part, ToolResult) for inner in part.content)
    return parts


def _may_be_file(part: Part) -> bool:
    # A picture with one field that we do not know is a part that only its own dialect does.
    return isinstance(part, Media) or (isinstance(part, Opaque) and may_hold_files(bytes(part.raw)))


def _chars(part: Part) -> int:
    match part:
        case Text() | Refusal() | Reasoning():
            return len(part.text)
        case ToolCall():
            return len(part.name) + len(part.arguments)
        case Opaque():
            return len(part.raw)
        case Media() | ToolResult():
            return 0
