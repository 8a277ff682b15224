"""Thinking and its signatures.

Gemini 3 signs calls, thoughts and also plain text or pictures. A signature beside a call is part of the call; beside a
thought it is the thought's; beside anything else it becomes a :class:`Reasoning` without words right after that part, so that
every surface that can carry thinking carries it, and is put beside the part again when it goes back
(https://ai.google.dev/gemini-api/docs/thought-signatures).

A signature is good only at the vendor that made it. On this surface the thinking of *another* vendor travels in an envelope
inside ``thoughtSignature``, which is base64 and which clients send back untouched.
"""

from typing import Any, Final

from samovar.ports.foreign_reasoning import opened_base64, sealed_as_base64
from samovar.ports.llm import Reasoning

NATIVE: Final = "gemini"
"""The origin of thinking whose maker a caller's request does not name."""

SKIP_VALIDATION: Final = "skip_thought_signature_validator"
"""Google's word for a call that no Gemini made: without any signature it would be refused."""


def read_reasoning(text: str, signature: str | None, *, origin: str) -> Reasoning:
    """Thinking of this dialect, or of another vendor if its signature is an envelope of ours."""
    foreign = None if signature is None else opened_base64(signature)
    if foreign is None:
        return Reasoning(text=text, signature=signature, origin=origin if signature else None)
    return foreign.reasoning(text)


def signed(part: Reasoning, *, signature: str | None, encrypted: str | None) -> str | None:
    """``thoughtSignature`` for thinking that begins as ``part``: as it is for our own, in an envelope for others'."""
    if part.origin in (None, NATIVE) and encrypted is None and part.id is None:
        return signature
    if signature is None and encrypted is None:
        return None
    return sealed_as_base64(part, signature=signature, encrypted=encrypted)


def write_answered(part: Reasoning) -> dict[str, Any] | None:
    """The part for a caller; the vendor may be any."""
    return _part(part, signed(part, signature=part.signature, encrypted=part.encrypted))


def write_asked(part: Reasoning, *, vendor: str) -> dict[str, Any] | None:
    """The part for the vendor. ``None`` for what it did not make itself: it would refuse the signature."""
    if part.origin not in (None, NATIVE, vendor) or part.encrypted is not None:
        return None
    return _part(part, part.signature)


def _part(part: Reasoning, signature: str | None) -> dict[str, Any] | None:
    if not part.text and signature is None:
        return None
    wire: dict[str, Any] = {"text": part.text}
    if part.text or part.origin not in (None, NATIVE):
        wire["thought"] = True
    if signature is not None:
        wire["thoughtSignature"] = signature
    return wire
