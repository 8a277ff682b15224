"""Where each conversation was last answered, so that it finds its prompt in the vendor's cache again."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final, NamedTuple

from samovar.domains.gateway.model.routing import Kept, TargetKey
from samovar.ports.llm import ChatRequest, Media, Opaque, Part, Role, Text

MAX_CONVERSATIONS: Final = 10_000
TTL_S: Final = 300.0
"""The vendors' usual time: OpenAI's and Anthropic's caches forget a prompt that nobody sent for five minutes."""

_MAX_PART_CHARS: Final = 8192


class _Place(NamedTuple):
    key: TargetKey
    cached_tokens: int
    until: float


class Conversations:
    """Bounded, the least recently used forgotten first. A wrong guess costs a cache miss, nothing else."""

    def __init__(self) -> None:
        self._places: OrderedDict[bytes, _Place] = OrderedDict()

    def answered(self, conversation: bytes, key: TargetKey, *, cached_tokens: int, now: float) -> None:
        """A target answered; its vendor will have ``cached_tokens`` of the next prompt in its cache."""
        self._places[conversation] = _Place(key, cached_tokens, now + TTL_S)
        self._places.move_to_end(conversation)
        if len(self._places) > MAX_CONVERSATIONS:
            self._places.popitem(last=False)

    def place(self, conversation: bytes, *, now: float) -> Kept | None:
        """Where it was answered, ``None`` for one that is new or too old."""
        place = self._places.get(conversation)
        if place is None or place.until <= now:
            return None
        return Kept(place.key, place.cached_tokens)


def conversation_of(team_id: str, model: str, request: ChatRequest) -> bytes:
    """What tells a conversation from others: its team, the model's name as asked, and how it begins, up to the user's first
    words. Of a long part its beginning and length stand for it."""
    digest = blake2b(digest_size=16)
    digest.update(f"{team_id}\n{model}\n{len(request.tools)}".encode())
    for message in request.messages:
        digest.update(b"\0" + message.role.value.encode())
        for part in message.parts:
            digest.update(_told(part))
        if message.role is Role.USER:
            break
    return digest.digest()


def _told(part: Part) -> bytes:
    match part:
        case Text():
            text = part.text
        case Media():
            text = part.base64 or part.url or part.file_id or ""
        case Opaque():
            raw = bytes(part.raw)
            return b"\1%d\1" % len(raw) + raw[:_MAX_PART_CHARS]
        case _:
            text = ""
    return f"\1{len(text)}\1{text[:_MAX_PART_CHARS]}".encode("utf-8", "surrogatepass")
