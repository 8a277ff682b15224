"""Who may open a file: recipients, identities, passphrases, and the stanza in which each finds the file's key."""

import base64
import binascii
import os
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from samovar.adapters.age import bech32
from samovar.ports.envelopes import BadRecipient, EnvelopeBroken

FILE_KEY_BYTES: Final = 16
KEY_BYTES: Final = 32
_WRAPPED_BYTES: Final = FILE_KEY_BYTES + 16
_SALT_BYTES: Final = 16
_NO_NONCE: Final = bytes(12)
_X25519: Final = b"age-encryption.org/v1/X25519"
_SCRYPT: Final = b"age-encryption.org/v1/scrypt"
_PUBLIC: Final = "age"
_PRIVATE: Final = "age-secret-key-"
# 2^17 blocks of 1 KiB: 128 MiB of memory and some tenths of a second. Up to 2^20 is read, which is a gigabyte.
_WORK: Final = 17
_MOST_WORK: Final = 20


class Stanza(msgspec.Struct, frozen=True):
    """The file's key, wrapped for one who may open it."""

    words: tuple[str, ...]
    body: bytes


class Recipient(msgspec.Struct, frozen=True):
    """``age1…``: may open with the identity it belongs to."""

    public: bytes

    def wrap(self, file_key: bytes) -> Stanza:
        """The stanza for this recipient."""
        once = X25519PrivateKey.generate()
        shown = once.public_key().public_bytes_raw()
        shared = once.exchange(X25519PublicKey.from_public_bytes(self.public))
        key = derived(shared, salt=shown + self.public, info=_X25519)
        return Stanza(("X25519", written(shown)), ChaCha20Poly1305(key).encrypt(_NO_NONCE, file_key, None))


class Identity(msgspec.Struct, frozen=True):
    """``AGE-SECRET-KEY-1…``."""

    secret: bytes

    def __repr__(self) -> str:
        return "Identity()"

    @property
    def recipient(self) -> str:
        """Its public half, as text."""
        return bech32.encode(_PUBLIC, self._private.public_key().public_bytes_raw())

    @property
    def text(self) -> str:
        """As it stands in an identity file."""
        return bech32.encode(_PRIVATE, self.secret).upper()

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file's key, ``None`` where no stanza is for this identity. Raises ``EnvelopeBroken``."""
        for stanza in stanzas:
            if stanza.words[0] == "X25519" and len(stanza.words) == 2:
                found = self._unwrap(read(stanza.words[1], KEY_BYTES), stanza.body)
                if found is not None:
                    return found
        return None

    def _unwrap(self, shown: bytes, body: bytes) -> bytes | None:
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(shown))
        except ValueError as error:
            raise EnvelopeBroken("The encrypted file's header is broken.") from error
        key = derived(shared, salt=shown + self._private.public_key().public_bytes_raw(), info=_X25519)
        return _unwrapped(key, body)

    @property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.secret)


class Passphrase(msgspec.Struct, frozen=True):
    """What a person keeps in mind or on paper. ``work`` is the binary logarithm of scrypt's N."""

    phrase: str
    work: int = _WORK

    def __repr__(self) -> str:
        return "Passphrase()"

    def wrap(self, file_key: bytes) -> Stanza:
        """The stanza for whoever knows it. Takes a good part of a second, without holding the interpreter."""
        salt = os.urandom(_SALT_BYTES)
        key = self._stretched(salt, self.work)
        body = ChaCha20Poly1305(key).encrypt(_NO_NONCE, file_key, None)
        return Stanza(("scrypt", written(salt), str(self.work)), body)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """As :meth:`Identity.unwrap`."""
        if not any(stanza.words[0] == "scrypt" for stanza in stanzas):
            return None
        if len(stanzas) != 1 or len(stanzas[0].words) != 3:
            raise EnvelopeBroken("The encrypted file's header is broken.")
        _, salt, work = stanzas[0].words
        if not (work.isascii() and work.isdigit() and len(work) <= 2 and work[0] != "0" and int(work) <= _MOST_WORK):
            raise EnvelopeBroken(f"The encrypted file asks for more work than we do for a passphrase (2^{_MOST_WORK}).")
        return _unwrapped(self._stretched(read(salt, _SALT_BYTES), int(work)), stanzas[0].body)

    def _stretched(self, salt: bytes, work: int) -> bytes:
        return Scrypt(salt=_SCRYPT + salt, length=KEY_BYTES, n=1 << work, r=8, p=1).derive(self.phrase.encode())


def new_identity() -> Identity:
    """From the operating system's chance."""
    return Identity(X25519PrivateKey.generate().private_bytes_raw())


def parse_recipient(text: str) -> Recipient:
    """Raises ``BadRecipient``."""
    return Recipient(_key(text.strip(), _PUBLIC, "a recipient must be an age X25519 key, which begins with age1"))


def parse_identities(text: str) -> tuple[Identity, ...]:
    """Those of an identity file: one a line, with comments after ``#``. Raises ``BadRecipient``."""
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise BadRecipient("The identity file holds no key.")
    words = "an identity must be an age X25519 key, which begins with AGE-SECRET-KEY-1"
    return tuple(Identity(_key(key, _PRIVATE, words)) for key in keys)


def derived(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256, 32 bytes."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)


def written(content: bytes) -> str:
    """Base64 without padding."""
    return base64.b64encode(content).decode().rstrip("=")


def read(text: str, size_bytes: int) -> bytes:
    """The other way; every text has one meaning and every meaning one text. Raises ``EnvelopeBroken``."""
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeBroken("The encrypted file's header is broken.") from error
    if len(found) != size_bytes or written(found) != text:
        raise EnvelopeBroken("The encrypted file's header is broken.")
    return found


def _key(text: str, prefix: str, words: str) -> bytes:
    try:
        found, key = bech32.decode(text)
    except (ValueError, UnicodeEncodeError) as error:
        raise BadRecipient(f"{words}: {error}.") from error
    if found != prefix or len(key) != KEY_BYTES:
        raise BadRecipient(f"{words}; this is another kind of key.")
    return key


def _unwrapped(key: bytes, body: bytes) -> bytes | None:
    if len(body) != _WRAPPED_BYTES:
        raise EnvelopeBroken("The encrypted file's header is broken.")
    try:
        return ChaCha20Poly1305(key).decrypt(_NO_NONCE, body, None)
    except InvalidTag:
        return None
