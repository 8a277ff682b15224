"""Reading a spool, a live one's or a dead one's, from where it was left."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from samovar.domains.billing.model.ledger import Settled
from samovar.domains.billing.model.records import Intent, scan, settled
from samovar.domains.billing.service.money.ended import Batch
from samovar.domains.billing.service.money.journal import Place
from samovar.domains.billing.service.money.spool import segment_path, segments_of

# Some two thousand calls; and above the longest record.
_CHUNK_BYTES: Final = 1024 * 1024


class Reader:
    """Pairs intents with outcomes, from ``begin`` on; calls whose outcome stands before ``taken`` are left out. Not for two
    threads at once. ``damaged`` counts segments of which a part could not be read, the torn end of a dead process's last one
    among them."""

    def __init__(self, folder: Path, *, begin: Place = (1, 0), taken: Place = (1, 0)) -> None:
        self._folder = folder
        self._mark = begin
        self._taken = taken
        self._intents: dict[str, Intent] = {}
        self.damaged = 0

    def read(self, *, until: Place | None = None) -> Batch:
        """What the next chunk holds, up to ``until`` (``None``: to the end of all). A batch without calls that ends where the
        last one did is the end. Raises ``OSError``."""
        for number in self._numbers(until):
            offset = self._mark[1] if number == self._mark[0] else 0
            last = until is not None and number == until[0]
            stop = until[1] if last and until is not None else None
            calls, end, size = self._read_segment(number, offset, stop)
            if end > offset or calls:
                self._mark = (number, end)
                return Batch(calls, self._mark)
            if max(size, stop or 0) > offset:
                # Of a live spool all that was asked for should be there: what is not is passed over, and never asked for again.
                self.damaged += 1
                if until is not None and last:
                    self._mark = until
            if last:
                break
            self._mark = (number + 1, 0)
        return Batch([], self._mark)

    def go_on_at(self, mark: Place) -> None:
        """All before ``mark`` was read, and may be gone."""
        self._mark = max(self._mark, mark)

    def unsettled(self) -> list[Settled]:
        """The calls without an outcome, each at its hold: after the end of a dead process's spool."""
        found = [settled(intent, None) for intent in self._intents.values()]
        self._intents.clear()
        return [call for call in found if call is not None]

    def _numbers(self, until: Place | None) -> Iterator[int]:
        if until is not None:
            yield from range(self._mark[0], until[0] + 1)
            return
        for number in segments_of(self._folder):
            if number >= self._mark[0]:
                yield number

    def _read_segment(self, number: int, offset: int, stop: int | None) -> tuple[list[Settled], int, int]:
        """The calls of a chunk, where its last whole record ends, and where the last byte stands that is no zero: zeros are room
        that was not used."""
        with segment_path(self._folder, number).open("rb") as file:
            file.seek(offset)
            data = file.read(_CHUNK_BYTES if stop is None else min(_CHUNK_BYTES, stop - offset))
        calls: list[Settled] = []
        end = 0
        for record, end in scan(data):  # read below
            if isinstance(record, Intent):
                self._intents[record.call_id] = record
                continue
            intent = self._intents.pop(record.call_id, None)
            call = None if intent is None else settled(intent, record)
            if call is not None and (number, offset + end) > self._taken:
                calls.append(call)
        return calls, offset + end, offset + max(end, len(data.rstrip(b"\0")))
