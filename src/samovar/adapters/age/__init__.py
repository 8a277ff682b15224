"""age, version 1 (https://github.com/C2SP/C2SP/blob/main/age.md): whole streams encrypted for X25519 recipients or a passphrase.

Written here over ``cryptography`` because pyrage holds the interpreter for seconds while it stretches a passphrase, and
takes a passphrase for what fits into memory only. The tests read what we write with pyrage, and the other way round.
"""

from samovar.adapters.age.envelope import AgeOpener, AgeSealer
from samovar.adapters.age.keyring import AgeKeyring
from samovar.adapters.age.keys import Identity, Passphrase, Recipient, new_identity, parse_identities, parse_recipient

__all__ = [
    "AgeKeyring",
    "AgeOpener",
    "AgeSealer",
    "Identity",
    "Passphrase",
    "Recipient",
    "new_identity",
    "parse_identities",
    "parse_recipient",
]
