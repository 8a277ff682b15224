"""All SQL of identity. Functions take the open transaction first and filter by team first.

Exceptions, all on purpose: looking a key up by its hash, or a service account by its client id or its id, is how a caller's
team becomes known, so it cannot be filtered by team; ``installation`` holds facts of the whole installation (the admin
token's hash, the master key's check value), one row a fact; and the keys that sign tokens are the installation's.
"""

from samovar.domains.identity.store.key_rows import (
    add_key,
    add_team,
    change,
    gateway_keys,
    installation,
    key,
    keys,
    keys_by_hash,
    note_uses,
    read_fact,
    replace,
    revoke,
    settle_fact,
    teams,
)

__all__ = [
    "add_key",
    "add_team",
    "change",
    "gateway_keys",
    "installation",
    "key",
    "keys",
    "keys_by_hash",
    "note_uses",
    "read_fact",
    "replace",
    "revoke",
    "settle_fact",
    "teams",
]
