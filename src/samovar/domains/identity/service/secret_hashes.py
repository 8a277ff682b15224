"""Argon2 (RFC 9106) over secrets that people and programs keep, off the event loop and a few at a time."""

import asyncio
import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from samovar.kernel.errors import Unavailable

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_T = TypeVar("_T")
_AT_ONCE: Final = 2
"""Each takes 64 MB and as much of a processor as it gets."""
_WAITING: Final = 64


class SecretHashing:
    """With argon2-cffi's defaults, which are the RFC's second recommendation; ``is_cheap`` is for whoever hashes what is nobody's
    secret, thousands of times."""

    def __init__(self, *, is_cheap: bool = False) -> None:
        self._is_cheap = is_cheap
        self._made: PasswordHasher | None = None
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, secret: str) -> str:
        """In PHC's string format. Raises ``Unavailable`` when too many wait."""
        return await self._run(lambda hasher: hasher.hash(secret))

    async def matches(self, secret: str, hashed: str | None) -> bool:
        """Whether ``hashed`` is of ``secret``. ``None``, for somebody who is not known, takes as long and is never so. Raises
        ``Unavailable`` when too many wait."""
        return await self._run(lambda hasher: _matches(hasher, secret, hashed or _nobody(hasher)))

    async def _run(self, work: "Callable[[PasswordHasher], _T]") -> _T:
        if self._waiting >= _WAITING:
            raise Unavailable("Too many secrets are being checked. Try again.", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(lambda: work(self._hasher()))
        finally:
            self._waiting -= 1

    def _hasher(self) -> "PasswordHasher":
        if self._made is None:
            from argon2 import PasswordHasher

            cheap = self._is_cheap
            self._made = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1) if cheap else PasswordHasher()
        return self._made


def _matches(hasher: "PasswordHasher", secret: str, hashed: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return hasher.verify(hashed, secret)
    except (VerificationError, InvalidHashError):
        return False


def _nobody(hasher: "PasswordHasher") -> str:
    """A hash of the usual cost that no secret has: its digest is none."""
    zeros = base64.b64encode(bytes(hasher.hash_len)).decode().rstrip("=")
    salt = base64.b64encode(bytes(hasher.salt_len)).decode().rstrip("=")
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${zeros}"
