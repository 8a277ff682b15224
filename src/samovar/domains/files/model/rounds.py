"""Rounds over an element: what each thing there turned out to be, and what was done about it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from samovar.domains.files.model.records import says_the_same
from samovar.ports.elements import Attributes, Found

MAX_FINDINGS: Final = 100


class RoundKind(StrEnum):
    """``rebuild`` makes rows from attributes, ``check`` only looks, ``scrub`` reads contents and mends."""

    REBUILD = "rebuild"
    CHECK = "check"
    SCRUB = "scrub"


class Fault(StrEnum):
    """What may be wrong with a thing on an element, or with its row."""

    ATTRIBUTES_UNREADABLE = "attributes_unreadable"
    CONTENT_MISSING = "content_missing"
    CONTENT_DIFFERS = "content_differs"
    ORPHAN = "orphan"
    ROW_MISSING = "row_missing"
    ROW_DIFFERS = "row_differs"
    FILE_MISSING = "file_missing"
    OUTDATED_REPLICA = "outdated_replica"


class Outcome(StrEnum):
    """What was done about it. What is ``quarantined`` has no good copy that it could be repaired from."""

    REPORTED = "reported"
    MENDED = "mended"
    REMOVED = "removed"
    QUARANTINED = "quarantined"
    REPAIRED = "repaired"


class Extent(StrEnum):
    """How much of the rows a rebuild writes: those that are missing or behind, or all that say otherwise."""

    INCREMENTAL = "incremental"
    FULL = "full"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. ``file_id`` is ``None`` where nobody can tell."""

    fault: Fault
    outcome: Outcome
    path: str
    file_id: str | None
    detail: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a round met. ``read_bytes`` are those of contents that were compared with their checksums; ``findings`` are the first
    hundred."""

    met: int = 0
    read_bytes: int = 0
    faults: Mapping[Fault, int] = {}
    outcomes: Mapping[Outcome, int] = {}
    findings: tuple[Finding, ...] = ()


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A round, as far as it has come: everything up to the path ``cursor`` was looked at."""

    element_id: str
    kind: RoundKind
    cursor: str
    report: Report
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None


def begun(element_id: str, kind: RoundKind, now: datetime) -> Round:
    """A new one."""
    return Round(element_id=element_id, kind=kind, cursor="", report=Report(), started_at=now, updated_at=now)


def with_finding(report: Report, finding: Finding) -> Report:
    """One more."""
    faults, outcomes = dict(report.faults), dict(report.outcomes)
    faults[finding.fault] = faults.get(finding.fault, 0) + 1
    outcomes[finding.outcome] = outcomes.get(finding.outcome, 0) + 1
    kept = report.findings if len(report.findings) >= MAX_FINDINGS else (*report.findings, finding)
    return msgspec.structs.replace(report, faults=faults, outcomes=outcomes, findings=kept)


def with_mended(report: Report, fault: Fault, *, count: int) -> Report:
    """So many more that were put right, and are not named: after a loss they are all there is."""
    if not count:
        return report
    faults, outcomes = dict(report.faults), dict(report.outcomes)
    faults[fault] = faults.get(fault, 0) + count
    outcomes[Outcome.MENDED] = outcomes.get(Outcome.MENDED, 0) + count
    return msgspec.structs.replace(report, faults=faults, outcomes=outcomes)


def with_met(report: Report, *, things: int, read_bytes: int = 0) -> Report:
    """So much more was looked at."""
    return msgspec.structs.replace(report, met=report.met + things, read_bytes=report.read_bytes + read_bytes)


def fault_of_thing(found: Found) -> Finding | None:
    """What is wrong with a thing as it was met, unread."""
    attributes = found.attributes
    if attributes is None:
        if found.fault is None:
            return _of_thing(found, Fault.ORPHAN, "It is content without attributes.")
        return _of_thing(found, Fault.ATTRIBUTES_UNREADABLE, found.fault)
    if found.content_bytes is None:
        return _of_thing(found, Fault.CONTENT_MISSING, "It has attributes and no content.")
    if found.content_bytes != attributes.size_bytes:
        said = f"It has {found.content_bytes} bytes; its attributes say {attributes.size_bytes}."
        return _of_thing(found, Fault.CONTENT_DIFFERS, said)
    return None


def fault_of_row(row: Attributes | None, told: Attributes) -> Fault | None:
    """What is wrong with the row of a file whose attributes are ``told``. Of two originals (a file that is being moved) the one
    at the higher revision is the file."""
    if told.replica_of is not None:
        return None
    if row is None:
        return Fault.ROW_MISSING
    if row.storage_element_id == told.storage_element_id:
        return None if says_the_same(row, told) else Fault.ROW_DIFFERS
    return Fault.ROW_DIFFERS if told.revision > row.revision else None


def reported(fault: Fault, *, path: str, file_id: str | None, detail: str) -> Finding:
    """A finding about which nothing is done yet."""
    return Finding(fault=fault, outcome=Outcome.REPORTED, path=path, file_id=file_id, detail=detail)


def not_there(*, path: str, file_id: str) -> Finding:
    """The finding of a row that no file stands behind."""
    detail = "There is a row, and nothing on the element."
    return reported(Fault.FILE_MISSING, path=path, file_id=file_id, detail=detail)


def _of_thing(found: Found, fault: Fault, detail: str) -> Finding:
    file_id = None if found.attributes is None else found.attributes.file_id
    return reported(fault, path=found.path, file_id=file_id, detail=detail)
