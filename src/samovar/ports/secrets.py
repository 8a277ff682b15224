"""Sealing of secrets that must be read again, such as provider keys."""

from typing import Protocol

from samovar.kernel.errors import SamovarError


class SealBroken(SamovarError):
    """The sealed text was changed, belongs to another row, or was sealed under another master key."""

    code = "seal_broken"
    status = 500
    title = "A stored secret cannot be opened"


class SecretBox(Protocol):
    """Authenticated encryption under the installation's master key."""

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """Sealed bytes that open only with the same ``bound_to`` (the row's table, id and column)."""
        ...

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """What was sealed. Raises :class:`SealBroken`."""
        ...
