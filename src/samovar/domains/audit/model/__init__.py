"""The rules of the chain: records, checkpoints, the file of an export, and how all three are verified."""

from samovar.domains.audit.model.checkpoints import Anchor, Checkpoint, PublicKey, SigningKey, public_key_of
from samovar.domains.audit.model.exports import Report, Writing, read_checkpoints, verify_lines
from samovar.domains.audit.model.records import ANONYMOUS, Entry, Metadata, Place, Record, Result, entry_of

__all__ = [
    "ANONYMOUS",
    "Anchor",
    "Checkpoint",
    "Entry",
    "Metadata",
    "Place",
    "PublicKey",
    "Record",
    "Report",
    "Result",
    "SigningKey",
    "Writing",
    "entry_of",
    "public_key_of",
    "read_checkpoints",
    "verify_lines",
]
