"""Argon2 (RFC 9106) over secrets that people and programs keep, off the event loop and a few at a time."""

import asyncio
from typing import TYPE_CHECKING, Final

from samovar.kernel.errors import Unavailable

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_AT_ONCE: Final = 2
"""Each takes 64 MB and as much of a processor as it gets."""
_WAITING: Final = 64


class SecretHashing:
    """With argon2-cffi's defaults, which are the RFC's second recommendation."""

    def __init__(self) -> None:
        self._made: PasswordHasher | None = None
        self._dummy: str | None = None
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, secret: str) -> str:
        """In PHC's string format. Raises ``Unavailable`` when too many wait."""
        return await self._run(secret, None)

    async def matches(self, secret: str, hashed: str | None) -> bool:
        """Whether ``hashed`` is of ``secret``. ``None``, for somebody who is not known, takes as long and is never so. Raises
        ``Unavailable`` when too many wait."""
        if self._dummy is None:
            self._dummy = await self._run("nobody's secret", None)
        return bool(await self._run(secret, hashed or self._dummy)) and hashed is not None

    async def _run(self, secret: str, hashed: str | None) -> str:
        if self._waiting >= _WAITING:
            raise Unavailable("Too many secrets are being checked. Try again.", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(self._worked, secret, hashed)
        finally:
            self._waiting -= 1

    def _worked(self, secret: str, hashed: str | None) -> str:
        """The hash of ``secret``, or with ``hashed`` that again where it matches, and nothing where it does not."""
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError

        if self._made is None:
            self._made = PasswordHasher()
        if hashed is None:
            return self._made.hash(secret)
        try:
            self._made.verify(hashed, secret)
        except (VerificationError, InvalidHashError):
            return ""
        return hashed
