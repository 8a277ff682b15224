"""Thinking and its signatures.

A signature is good only at the vendor that made it. On this surface the thinking of *another* vendor travels in
an envelope inside ``signature``: the client sends it back untouched, as the API asks of it, and we know again whose it is.
"""

from typing import Final

from samovar.ports.foreign_reasoning import opened, sealed
from samovar.ports.llm import Reasoning
from samovar.providers.anthropic.wire import RedactedThinkingBlock, ThinkingBlock

NATIVE: Final = "anthropic"
"""The origin of thinking whose maker a caller's request does not name."""


def read_thinking(block: ThinkingBlock, *, origin: str) -> Reasoning:
    """Thinking of this dialect, or of another vendor if its signature is an envelope of ours."""
    foreign = opened(block.signature)
    if foreign is None:
        return Reasoning(
            text=block.thinking, signature=block.signature or None, origin=origin if block.signature else None
        )
    return foreign.reasoning(block.thinking)


def read_redacted(block: RedactedThinkingBlock, *, origin: str) -> Reasoning:
    """Thinking that only its vendor can read."""
    return Reasoning(encrypted=block.data, origin=origin)


def signed(part: Reasoning, *, signature: str | None, encrypted: str | None) -> str:
    """The ``signature`` field for thinking that begins as ``part``: as it is for our own, in an envelope for others'."""
    if part.origin in (None, NATIVE) and encrypted is None and part.id is None:
        return signature or ""
    return sealed(part, signature=signature, encrypted=encrypted)


def write_answered(part: Reasoning) -> ThinkingBlock | RedactedThinkingBlock:
    """A thinking block for a caller; the vendor may be any."""
    if redacted(part):
        return RedactedThinkingBlock(data=part.encrypted or "")
    return ThinkingBlock(thinking=part.text, signature=signed(part, signature=part.signature, encrypted=part.encrypted))


def redacted(part: Reasoning) -> bool:
    """Whether this is Anthropic's own redacted thinking."""
    return part.encrypted is not None and part.origin in (None, NATIVE) and not part.text and part.id is None


def made_by(part: Reasoning, *, vendor: str) -> bool:
    """Whether the vendor can read it. A caller's request does not name the maker of what is not in an envelope."""
    return part.origin in (None, NATIVE, vendor)


def write_asked(part: Reasoning, *, vendor: str) -> ThinkingBlock | RedactedThinkingBlock | None:
    """A thinking block for the vendor. ``None`` for what it did not make itself or cannot verify: it would refuse it."""
    if not made_by(part, vendor=vendor):
        return None
    if part.encrypted is not None:
        return RedactedThinkingBlock(data=part.encrypted)
    return None if part.signature is None else ThinkingBlock(thinking=part.text, signature=part.signature)
