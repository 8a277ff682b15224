"""The envelope in which one vendor's reasoning travels through another vendor's surface.

A signature or encrypted reasoning is good only at the vendor that made it. Where a surface has one field that clients send
back untouched, that field holds the envelope, and we know again whose the reasoning is. Nothing in it is secret or trusted:
the vendor that made it checks it.

Some vendors sign calls of tools too (Gemini 3). A surface that has no place beside a call carries that signature in an
envelope of its own, before the call: see :func:`proofs_apart` and :func:`proofs_together`.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

import msgspec

from samovar.kernel.errors import Flaw
from samovar.ports.llm import Part, Reasoning, ToolCall

MARK: Final = "samovar."
_MARK_BYTES: Final = MARK.encode()
_OF_A_CALL: Final = "tool_call"
"""The origin of what is no thinking but a call's signature; its id is the call's. No vendor has this name."""
# Base64 of the mark and of the brace that always follows it: 9 bytes, so 12 characters that never vary.
MARK_BASE64: Final = base64.b64encode(_MARK_BYTES + b"{").decode()


class Envelope(
    msgspec.Struct, omit_defaults=True, rename={"origin": "o", "signature": "s", "encrypted": "e", "id": "i"}
):
    """What another vendor wants back with its reasoning."""

    origin: str | None = None
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None

    def reasoning(self, text: str) -> Reasoning:
        """The reasoning again; its words stood in the open."""
        return Reasoning(text=text, signature=self.signature, encrypted=self.encrypted, id=self.id, origin=self.origin)


def sealed(part: Reasoning, *, signature: str | None, encrypted: str | None) -> str:
    """The mark, then base64 in the URL's alphabet. ``part`` names the maker and the id."""
    return MARK + base64.urlsafe_b64encode(_json(part, signature, encrypted)).decode()


def opened(text: str) -> Envelope | None:
    """What :func:`sealed` made; ``None`` for what is none of ours."""
    return _envelope(text[len(MARK) :]) if text.startswith(MARK) else None


def sealed_as_base64(part: Reasoning, *, signature: str | None, encrypted: str | None) -> str:
    """As :func:`sealed`, for a field that must be base64 as a whole: the mark is inside."""
    return base64.b64encode(_MARK_BYTES + _json(part, signature, encrypted)).decode()


def opened_base64(text: str) -> Envelope | None:
    """What :func:`sealed_as_base64` made, in either alphabet: an SDK that decodes may give back the URL's."""
    if not text.startswith(MARK_BASE64):
        return None
    return _envelope(text.replace("+", "-").replace("/", "_"), skip=len(_MARK_BYTES))


def proof_apart(call: ToolCall) -> Reasoning | None:
    """The call's signature as thinking without words, for a surface that has no place for it beside the call."""
    return None if call.signature is None else Reasoning(signature=call.signature, id=call.id, origin=_OF_A_CALL)


def proofs_apart(parts: Sequence[Part]) -> list[Part]:
    """The parts with the signature of each call before it."""
    apart: list[Part] = []
    for part in parts:
        proof = proof_apart(part) if isinstance(part, ToolCall) else None
        apart += [part] if proof is None else [proof, part]
    return apart


def proofs_together(parts: Sequence[Part]) -> list[Part]:
    """One turn's parts as a client sent them back, each signature of a call with its call again."""
    proofs = {part.id: part.signature for part in parts if isinstance(part, Reasoning) and part.origin == _OF_A_CALL}
    if not proofs:
        return list(parts)
    return [
        msgspec.structs.replace(part, signature=proofs[part.id])
        if isinstance(part, ToolCall) and part.id in proofs
        else part
        for part in parts
        if not (isinstance(part, Reasoning) and part.origin == _OF_A_CALL)
    ]


def lost_elsewhere(part: Reasoning) -> str | None:
    """What the caller is told of reasoning that comes to another vendor than its maker. ``None`` for what stands in the
    open, signed or not, and is left out without a word; what is encrypted cannot be replaced."""
    if part.encrypted is None:
        return None
    maker = part.origin or "another provider"
    return f"encrypted reasoning that {maker} made and only {maker} can read"


def lost_in_passing(envelope: Envelope, *, where: str) -> Flaw | None:
    """As :func:`lost_elsewhere`, for a call that is passed on in the language it came in."""
    lost = lost_elsewhere(envelope.reasoning(""))
    return None if lost is None else Flaw(where, lost)


def _json(part: Reasoning, signature: str | None, encrypted: str | None) -> bytes:
    return msgspec.json.encode(Envelope(origin=part.origin, signature=signature, encrypted=encrypted, id=part.id))


def _envelope(text: str, *, skip: int = 0) -> Envelope | None:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text)[skip:], type=Envelope)
    except (binascii.Error, ValueError, RecursionError):
        return None
