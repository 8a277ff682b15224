"""Each upload is a transaction (docs/adr/0008): ``leading`` has it in the process that takes the upload, ``resuming`` ends what
lost its leader, ``desk`` tells of them and takes one back.

No step between the beginning and the end is written down: on which side of the commit point it is, the element says.
"""

from samovar.domains.files.service.transactions.leading import (
    TRANSACTION_CANCELLED,
    Leading,
    TransactionRules,
    Transactions,
)

__all__ = ["TRANSACTION_CANCELLED", "Leading", "TransactionRules", "Transactions"]
