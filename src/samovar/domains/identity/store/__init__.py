"""All SQL of identity. Functions take the open transaction first and filter by team first.

Exceptions, all on purpose: looking a key up by its hash, or a service account by its client id or its id, is how a caller's
team becomes known, so it cannot be filtered by team; ``installation`` holds facts of the whole installation (the admin
token's hash, the master key's check value), one row a fact; and the keys that sign tokens are the installation's.
"""

from samovar.domains.identity.store.account_rows import (
    account,
    account_of_client,
    accounts,
    accounts_by_id,
    add_account,
    change_account,
    delete_account,
    note_account_uses,
    rotate_secret,
    service_accounts,
)
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
from samovar.domains.identity.store.signing_key_rows import (
    add_signing_key,
    all_signing_keys,
    delete_retired,
    sealed_signing_key,
    signing_keys,
)

__all__ = [
    "account",
    "account_of_client",
    "accounts",
    "accounts_by_id",
    "add_account",
    "add_key",
    "add_signing_key",
    "add_team",
    "all_signing_keys",
    "change",
    "change_account",
    "delete_account",
    "delete_retired",
    "gateway_keys",
    "installation",
    "key",
    "keys",
    "keys_by_hash",
    "note_account_uses",
    "note_uses",
    "read_fact",
    "replace",
    "revoke",
    "rotate_secret",
    "sealed_signing_key",
    "service_accounts",
    "settle_fact",
    "signing_keys",
    "teams",
]
