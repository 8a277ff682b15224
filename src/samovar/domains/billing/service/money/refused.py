"""Charges that a database which is well refuses: set aside for a person to look at, so that they hold up no others."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import structlog

from samovar.domains.billing.model.ledger import Settled
from samovar.domains.billing.service.money.hold import Tally

REFUSED_FILE: Final = "refused.jsonl"

SetAside: TypeAlias = Callable[[Sequence[Settled]], Awaitable[None]]
"""Keeps some calls, and counts them. Raises ``OSError``: then they are not kept."""


class RefusedFile:
    """A :data:`SetAside`: a line of JSON each in ``root/refused.jsonl``, on the disk when it returns."""

    def __init__(self, root: Path, tally: Tally) -> None:
        self._path = root / REFUSED_FILE
        self._tally = tally

    async def __call__(self, calls: Sequence[Settled]) -> None:
        """See :data:`SetAside`."""
        # Their spool may be deleted next. A line that comes twice, after a crash between the two, has the same call's id.
        await asyncio.to_thread(self._keep, calls)
        self._tally.charges_set_aside += len(calls)
        for call in calls:
            _log(call, kept=REFUSED_FILE)

    def _keep(self, calls: Sequence[Settled]) -> None:
        with self._path.open("ab") as file:
            file.write(b"".join(_as_json(call) + b"\n" for call in calls))
            file.flush()
            os.fsync(file.fileno())


class RefusedLog:
    """A :data:`SetAside` where there is no disk: the log has all of it."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def __call__(self, calls: Sequence[Settled]) -> None:
        """See :data:`SetAside`."""
        self._tally.charges_set_aside += len(calls)
        for call in calls:
            _log(call, charge=_as_json(call).decode())


def _log(call: Settled, **kept: str) -> None:
    structlog.get_logger("samovar.billing").error(
        "a charge was set aside: the database did not take it", call=call.call_id, **kept
    )


def _as_json(call: Settled) -> bytes:
    return msgspec.json.encode(call)
