"""What is done with files, counted."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

import msgspec

from samovar.domains.files.errors import QuotaReached
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


class Course(StrEnum):
    """What becomes of an upload as a transaction, where this process had a hand in it: it led it to its end, left it ``in_doubt``
    for others, or took it over from one that died and went ``resumed_forward`` or ``resumed_back``."""

    BEGUN = "begun"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    IN_DOUBT = "in_doubt"
    RESUMED_FORWARD = "resumed_forward"
    RESUMED_BACK = "resumed_back"
    CANCELLED = "cancelled"


class FileFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Since the process began; and the bytes on each element, by the rows. ``scrub_*`` are what scrubbing read and found;
    ``unfinished`` is how many transactions were open when an admin process last looked, ``None`` where this one does not."""

    operations: Mapping[tuple[Operation, Result], int]
    used_bytes: Mapping[str, int]
    scrubbed_bytes: int = 0
    scrub_findings: Mapping[tuple[Fault, Outcome], int] = {}
    courses: Mapping[Course, int] = {}
    unfinished: int | None = None


class FileTally:
    """One for a process."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Operation, Result]] = Counter()
        self.courses: Counter[Course] = Counter()
        self.unfinished: int | None = None

    @contextmanager
    def of_refusals(self, operation: Operation) -> Iterator[None]:
        """Count the block only where it fails: what it began is counted when that ends."""
        try:
            yield
        except SamovarError as error:
            self.counts[operation, _result_of(error)] += 1
            raise

    @contextmanager
    def of(self, operation: Operation) -> Iterator[None]:
        """Count what the block does."""
        result = Result.BROKEN
        try:
            yield
            result = Result.SUCCESS
        except SamovarError as error:
            result = _result_of(error)
            raise
        except Exception:
            result = Result.FAILED
            raise
        finally:
            self.counts[operation, result] += 1


def _result_of(error: SamovarError) -> Result:
    # Whose own room is used up is refused with a status of the 500s (RFC 4918, 11.5), and nothing of ours has failed.
    is_ours = error.http_status >= 500 and not isinstance(error, QuotaReached)
    return Result.FAILED if is_ours else Result.REFUSED
