"""Encryption of a whole stream for somebody who is not there: age (https://age-encryption.org/v1)."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from samovar.kernel.errors import Invalid, SamovarError


class BadRecipient(Invalid):
    """A recipient, an identity or a passphrase that is none; the message never shows it."""

    code = "bad_recipient"
    title = "Not a key to encrypt or decrypt with"


class EnvelopeBroken(SamovarError):
    """It was cut short or changed, or it is closed to this key."""

    code = "envelope_broken"
    status = 422
    title = "The encrypted file cannot be opened"


class Sealer(Protocol):
    """Encrypts."""

    def seal(self, plain: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The encrypted stream."""
        ...


class Opener(Protocol):
    """Decrypts."""

    def open(self, sealed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream that was encrypted; every piece was checked before it is given. Raises :class:`EnvelopeBroken`."""
        ...


class Keyring(Protocol):
    """From what a caller gives to what encrypts and decrypts. Both raise :class:`BadRecipient`."""

    def sealer(self, recipients: Sequence[str], passphrase: str | None) -> Sealer | None:
        """For some recipients or under a passphrase; ``None`` where neither is given."""
        ...

    def opener(self, identity: str | None, passphrase: str | None) -> Opener | None:
        """With an identity file's text or a passphrase; ``None`` where neither is given."""
        ...
