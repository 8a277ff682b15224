"""Thinking, its summaries and what is encrypted of it.

Encrypted thinking is good only at the vendor that made it. On this surface the thinking of *another* vendor travels in an
envelope inside ``encrypted_content``: the client sends it back untouched, as the API asks of it, and we know again whose
it is.
"""

from typing import Final

from samovar.ports import foreign_reasoning
from samovar.ports.llm import Reasoning
from samovar.ports.pins import unpinned
from samovar.providers.openai_responses.wire import ReasoningItem

NATIVE: Final = "openai"
"""The origin of thinking whose maker a caller's request does not name."""
_BETWEEN: Final = "\n\n"


def read_item(item: ReasoningItem, *, origin: str) -> Reasoning:
    """Thinking of this dialect, or of another vendor if its encrypted content is an envelope of ours."""
    text = _BETWEEN.join(thought.text for thought in item.summary or item.content or ())
    foreign = foreign_reasoning.opened(item.encrypted_content or "")
    if foreign is None:
        pin = unpinned(item.encrypted_content or "")
        encrypted = item.encrypted_content if pin is None else pin.text
        return Reasoning(text=text, encrypted=encrypted, id=item.id, origin=origin)
    return foreign.reasoning(text)


def sealed(part: Reasoning, *, signature: str | None, encrypted: str | None) -> str | None:
    """``encrypted_content`` for thinking that begins as ``part``: as it is for our own, in an envelope for others'."""
    if part.origin in (None, NATIVE) and signature is None:
        return encrypted
    if signature is None and encrypted is None:
        return None
    return foreign_reasoning.sealed(part, signature=signature, encrypted=encrypted)


def item_json(*, item_id: str, text: str, encrypted: str | None, status: str | None = None) -> dict[str, object]:
    """A reasoning item. All the words stand in one summary: the core does not know more than one."""
    item: dict[str, object] = {
        "id": item_id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
    }
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    if status is not None:
        item["status"] = status
    return item


def written_id(part: Reasoning, fallback: str) -> str:
    """The item's own id where this dialect gave it; ids of others mean nothing here."""
    return part.id if part.id and part.origin in (None, NATIVE) else fallback


def made_by(part: Reasoning, *, vendor: str) -> bool:
    """Whether the vendor can read it. A caller's request does not name the maker of what is not in an envelope."""
    return part.origin in (None, NATIVE, vendor)


def write_asked(part: Reasoning) -> dict[str, object] | None:
    """The item for the vendor that made it. ``None`` for words alone: they are no use to it."""
    if part.encrypted is None and part.id is None:
        return None
    item = item_json(item_id=part.id or "", text=part.text, encrypted=part.encrypted)
    if part.id is None:
        del item["id"]
    return item
