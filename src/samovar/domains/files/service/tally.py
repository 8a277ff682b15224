"""What is done with files, counted."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

import msgspec

from samovar.domains.files.model.rounds import Fault, Outcome
from samovar.kernel.errors import SamovarError


class Operation(StrEnum):
    """What is counted."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    AMEND = "amend"
    DELETE = "delete"
    RESTORE = "restore"


class Result(StrEnum):
    """How it ended: ``refused`` for what its caller did, ``failed`` for what we or the storage did, ``broken`` where the caller
    left."""

    SUCCESS = "success"
    REFUSED = "refused"
    FAILED = "failed"
    BROKEN = "broken"


class FileFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Since the process began; and the bytes on each element, by the rows. ``scrub_*`` are what scrubbing read and found."""

    operations: Mapping[tuple[Operation, Result], int]
    used_bytes: Mapping[str, int]
    scrubbed_bytes: int = 0
    scrub_findings: Mapping[tuple[Fault, Outcome], int] = {}


class FileTally:
    """One for a process."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Operation, Result]] = Counter()

    @contextmanager
    def of_refusals(self, operation: Operation) -> Iterator[None]:
        """Count the block only where it fails: what it began is counted when that ends."""
        try:
            yield
        except SamovarError as error:
            self.counts[operation, Result.FAILED if error.http_status >= 500 else Result.REFUSED] += 1
            raise

    @contextmanager
    def of(self, operation: Operation) -> Iterator[None]:
        """Count what the block does."""
        result = Result.BROKEN
        try:
            yield
            result = Result.SUCCESS
        except SamovarError as error:
            result = Result.FAILED if error.http_status >= 500 else Result.REFUSED
            raise
        except Exception:
            result = Result.FAILED
            raise
        finally:
            self.counts[operation, result] += 1
