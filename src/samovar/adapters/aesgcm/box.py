"""The box: version byte, 96-bit nonce, ciphertext with its 128-bit tag (NIST SP 800-38D)."""

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from samovar.ports.secrets import SealBroken

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32


class AesGcmBox:
    """A :class:`samovar.ports.secrets.SecretBox` under ``master_key`` (32 bytes).

    The nonce is random: under one key that is safe for 2^32 seals, far more than a table of provider keys will see.
    """

    def __init__(self, *, master_key: bytes) -> None:
        if len(master_key) != _KEY_BYTES:
            raise ValueError(f"a master key has {_KEY_BYTES} bytes, this one {len(master_key)}")
        # One derived key for each purpose: what is stored for checking says nothing about the key that seals.
        self._cipher = AESGCM(_derived(master_key, b"samovar seal v1"))
        self._check = _derived(master_key, b"samovar check v1").hex()

    @property
    def check_value(self) -> str:
        """64 hexadecimal digits that tell this master key from others and do not reveal it: store them at the first start."""
        return self._check

    def has_check_value(self, stored: str) -> bool:
        """Whether ``stored`` is this master key's check value: if not, the installation was set up with another one."""
        return hmac.compare_digest(self._check.encode(), stored.encode())

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """See the port."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _VERSION + bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """See the port."""
        if len(sealed) < 1 + _NONCE_BYTES + _TAG_BYTES or sealed[:1] != _VERSION:
            raise SealBroken(f"The secret stored at {bound_to} is not in a form that this version can read.")
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        try:
            return self._cipher.decrypt(nonce, sealed[1 + _NONCE_BYTES :], _VERSION + bound_to.encode())
        except InvalidTag as error:
            raise SealBroken(
                f"The secret stored at {bound_to} was changed, moved from another row, or sealed under another master key. "
                "Check SAMOVAR_MASTER_KEY, or enter the secret again."
            ) from error


def _derived(master_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(master_key)
