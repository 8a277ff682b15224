"""What can go wrong with the chain."""

from samovar.kernel.errors import SamovarError, Unavailable


class AuditUnwritten(Unavailable):
    """A record is not known to be in the database."""

    code = "audit_unwritten"
    title = "The audit record was not written"


class RecordRefused(SamovarError):
    """The database takes no such record: a defect of ours."""

    code = "audit_record_refused"
    status = 500
    title = "The audit record cannot be written"


class ChainBroken(SamovarError):
    """The chain is not what it was. ``sequence`` is the first record at fault, ``None`` where no single one is."""

    code = "audit_chain_broken"
    status = 500
    title = "The audit chain was tampered with"

    def __init__(self, why: str, *, sequence: int | None = None) -> None:
        super().__init__(why)
        self.sequence = sequence
