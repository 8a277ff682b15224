"""The file: a header in text, then the stream in chunks of 64 KiB, each encrypted and authenticated with its number."""

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from samovar.adapters.age.keys import (
    FILE_KEY_BYTES,
    KEY_BYTES,
    Identity,
    Passphrase,
    Recipient,
    Stanza,
    derived,
    read,
    written,
)
from samovar.ports.envelopes import BadRecipient, EnvelopeBroken

_VERSION: Final = b"age-encryption.org/v1"
_CHUNK_BYTES: Final = 64 * 1024
_TAG_BYTES: Final = 16
_NONCE_BYTES: Final = 16
_COLUMNS: Final = 64
_MAX_HEADER_BYTES: Final = 64 * 1024
_BROKEN: Final = "The encrypted file was changed or cut short."


class AgeSealer:
    """A :class:`samovar.ports.envelopes.Sealer` for some recipients, or for one passphrase (age does not mix them)."""

    def __init__(self, keys: Sequence[Recipient] | Passphrase) -> None:
        self._keys = [keys] if isinstance(keys, Passphrase) else list(keys)
        if not self._keys:
            raise BadRecipient("Encrypting needs somebody to encrypt for.")

    async def seal(self, plain: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """See the port."""
        file_key = os.urandom(FILE_KEY_BYTES)
        nonce = os.urandom(_NONCE_BYTES)
        yield await asyncio.to_thread(self._header, file_key) + nonce
        chunks = _Chunks(file_key, nonce)
        waiting = bytearray()
        async for piece in plain:
            waiting += piece
            # One chunk stays: the last one is marked, and nobody knows yet which it is.
            if len(waiting) > _CHUNK_BYTES:
                ready = len(waiting) - 1 - (len(waiting) - 1) % _CHUNK_BYTES
                taken = bytes(waiting[:ready])
                del waiting[:ready]
                yield await asyncio.to_thread(chunks.seal, taken)
        yield chunks.seal(bytes(waiting), last=True)

    def _header(self, file_key: bytes) -> bytes:
        lines = [_VERSION]
        for key in self._keys:
            stanza = key.wrap(file_key)
            lines.append(("-> " + " ".join(stanza.words)).encode())
            body = written(stanza.body).encode()
            # The last line is shorter than the others, if need be empty.
            lines += [body[at : at + _COLUMNS] for at in range(0, len(body) + 1, _COLUMNS)]
        header = b"\n".join([*lines, b"---"])
        return header + b" " + written(_mac(file_key, header)).encode() + b"\n"


class AgeOpener:
    """A :class:`samovar.ports.envelopes.Opener` with some identities, or a passphrase."""

    def __init__(self, keys: Sequence[Identity] | Passphrase) -> None:
        self._keys: list[Identity | Passphrase] = [keys] if isinstance(keys, Passphrase) else list(keys)

    async def open(self, sealed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """See the port."""
        waiting = bytearray()
        header = await _read_header(sealed, waiting)
        file_key = await asyncio.to_thread(self._file_key, header)
        while len(waiting) < _NONCE_BYTES:
            waiting += await _more(sealed)
        chunks = _Chunks(file_key, bytes(waiting[:_NONCE_BYTES]))
        del waiting[:_NONCE_BYTES]
        framed = _CHUNK_BYTES + _TAG_BYTES
        async for piece in sealed:
            waiting += piece
            if len(waiting) > framed:
                ready = len(waiting) - 1 - (len(waiting) - 1) % framed
                taken = bytes(waiting[:ready])
                del waiting[:ready]
                yield await asyncio.to_thread(chunks.open, taken)
        yield chunks.open(bytes(waiting), last=True)

    def _file_key(self, header: bytes) -> bytes:
        signed, _, mac = header.rpartition(b" ")
        stanzas = _stanzas(signed)
        for key in self._keys:
            file_key = key.unwrap(stanzas)
            if file_key is not None:
                if not hmac.compare_digest(_mac(file_key, signed), read(_text(mac), KEY_BYTES)):
                    raise EnvelopeBroken(_BROKEN)
                return file_key
        raise EnvelopeBroken(
            "None of the keys given opens this file: it was encrypted for others, or under another passphrase."
        )


class _Chunks:
    """STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): a chunk's nonce is its number and whether it is the last one."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = ChaCha20Poly1305(derived(file_key, salt=nonce, info=b"payload"))
        self._number = 0

    def seal(self, plain: bytes, *, last: bool = False) -> bytes:
        *others, end = _cut(plain, _CHUNK_BYTES)
        found = [self._cipher.encrypt(self._nonce(), piece, None) for piece in others]
        return b"".join([*found, self._cipher.encrypt(self._nonce(last=last), end, None)])

    def open(self, sealed: bytes, *, last: bool = False) -> bytes:
        *others, end = _cut(sealed, _CHUNK_BYTES + _TAG_BYTES)
        try:
            opened = [self._cipher.decrypt(self._nonce(), piece, None) for piece in others]
            opened.append(self._cipher.decrypt(self._nonce(last=last), end, None))
        except InvalidTag as error:
            raise EnvelopeBroken(_BROKEN) from error
        if last and not opened[-1] and self._number > 1:
            raise EnvelopeBroken(_BROKEN)
        return b"".join(opened)

    def _nonce(self, *, last: bool = False) -> bytes:
        nonce = self._number.to_bytes(11, "big") + bytes([last])
        self._number += 1
        return nonce


def _cut(content: bytes, size_bytes: int) -> list[bytes]:
    """In pieces of a size; one empty piece of nothing."""
    return [content[at : at + size_bytes] for at in range(0, len(content), size_bytes)] or [b""]


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(derived(file_key, salt=b"", info=b"header"), header, "sha256")


async def _read_header(sealed: AsyncIterator[bytes], waiting: bytearray) -> bytes:
    """The header without its last line feed; ``waiting`` keeps what follows it."""
    while (start := waiting.find(b"\n---")) < 0 or (end := waiting.find(b"\n", start + 1)) < 0:
        if len(waiting) > _MAX_HEADER_BYTES or not (_VERSION + b"\n").startswith(waiting[: len(_VERSION) + 1]):
            raise EnvelopeBroken("This is not a file that age encrypted.")
        waiting += await _more(sealed)
    header = bytes(waiting[:end])
    del waiting[: end + 1]
    return header


async def _more(sealed: AsyncIterator[bytes]) -> bytes:
    piece = await anext(sealed, None)
    if piece is None:
        raise EnvelopeBroken(_BROKEN)
    return piece


def _stanzas(signed: bytes) -> list[Stanza]:
    """Of ``signed``, the header up to its last ``---``."""
    lines = _text(signed).split("\n")
    if lines[0] != _VERSION.decode() or lines[-1] != "---":
        raise EnvelopeBroken(_BROKEN)
    found: list[Stanza] = []
    rest = lines[1:-1]
    while rest:
        words = rest.pop(0).split(" ")
        if words[0] != "->" or len(words) < 2 or not all(words):
            raise EnvelopeBroken(_BROKEN)
        body = ""
        while rest:
            line = rest.pop(0)
            body += line
            if len(line) < _COLUMNS:
                break
        found.append(Stanza(tuple(words[1:]), read(body, len(body) * 3 // 4)))
    return found


def _text(line: bytes) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError as error:
        raise EnvelopeBroken(_BROKEN) from error
