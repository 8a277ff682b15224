"""Signed words about where the chain stood. Ed25519 (RFC 8032). Pure.

A key's id is the beginning of its public half's SHA-256, so that no other key can pass under it.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from samovar.domains.audit.model.records import canonical, instant_text

SEED_BYTES: Final = 32
_ID_CHARS: Final = 32
# What is signed says what it is, so that no signature can be passed off as one under something else.
_PURPOSE: Final = "purpose"
CHECKPOINT: Final = "samovar audit checkpoint v1"
EXPORT: Final = "samovar audit export v1"
ANCHOR: Final = "samovar audit anchor v1"


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """``text`` is the 32 bytes in base64. ``created_at`` is ``None`` where only the key itself is known."""

    id: str
    text: str
    created_at: datetime | None = None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The chain held ``sequence`` records at ``time`` and the last had this ``hash``; ``count`` of them are new since the
    checkpoint before. ``signature`` is base64."""

    chain: str
    sequence: int
    hash: str
    count: int
    time: str
    key_id: str
    signature: str

    def statement(self) -> dict[str, Any]:
        """What is signed."""
        return {
            "chain": self.chain,
            "sequence": self.sequence,
            "hash": self.hash,
            "count": self.count,
            "time": self.time,
            "key_id": self.key_id,
        }


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """Records up to ``sequence`` were pruned at ``time``, by who has the signing key, and the last had this ``hash``: the chain
    begins after it. ``count`` of them are gone since the anchor before. ``signature`` is base64."""

    chain: str
    sequence: int
    hash: str
    count: int
    time: str
    key_id: str
    signature: str

    def statement(self) -> dict[str, Any]:
        """What is signed."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "signature"}


class SigningKey:
    """An Ed25519 key from its 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._key.public_key().public_bytes_raw()
        self.public = PublicKey(id=key_id(raw), text=base64.b64encode(raw).decode())

    def sign(self, purpose: str, statement: Mapping[str, Any]) -> str:
        """The signature of ``statement``, base64."""
        return base64.b64encode(self._key.sign(canonical({**statement, _PURPOSE: purpose}))).decode()

    def checkpoint(self, *, chain: str, sequence: int, hash: str, count: int, at: datetime) -> Checkpoint:
        """A checkpoint, signed."""
        draft = Checkpoint(
            chain=chain,
            sequence=sequence,
            hash=hash,
            count=count,
            time=instant_text(at),
            key_id=self.public.id,
            signature="",
        )
        return msgspec.structs.replace(draft, signature=self.sign(CHECKPOINT, draft.statement()))

    def anchor(self, *, chain: str, sequence: int, hash: str, count: int, at: datetime) -> Anchor:
        """An anchor, signed."""
        draft = Anchor(
            chain=chain,
            sequence=sequence,
            hash=hash,
            count=count,
            time=instant_text(at),
            key_id=self.public.id,
            signature="",
        )
        return msgspec.structs.replace(draft, signature=self.sign(ANCHOR, draft.statement()))


def key_id(raw: bytes) -> str:
    """The id of a public key of 32 bytes."""
    return hashlib.sha256(raw).hexdigest()[:_ID_CHARS]


def public_key_of(text: str) -> PublicKey:
    """A public key as it is written in base64. Raises ``ValueError`` where it is none."""
    try:
        raw = base64.b64decode(text, validate=True)
        Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"{text[:80]!r} is no Ed25519 public key: it must be 32 bytes in base64") from error
    return PublicKey(id=key_id(raw), text=base64.b64encode(raw).decode())


def is_signed(key: PublicKey, purpose: str, statement: Mapping[str, Any], signature: str) -> bool:
    """Whether ``signature`` is that of ``key`` under ``statement``."""
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.text, validate=True))
        raw = base64.b64decode(signature, validate=True)
        # One text for one signature: base64 lets the last bits of another pass.
        if base64.b64encode(raw).decode() != signature:
            return False
        public.verify(raw, canonical({**statement, _PURPOSE: purpose}))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True
