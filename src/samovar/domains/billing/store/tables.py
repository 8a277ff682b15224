"""The tables of money. Amounts are whole nano-dollars; a day is counted from 1970, in UTC."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from samovar.domains.billing.model.ledger import TransferRow
from samovar.ports.database import Instant, metadata

wallets: Final = Table(
    "wallets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("owner_kind", String(16)),
    Column("owner_id", String(128)),
    Column("unlimited", Boolean, nullable=False),
    Column("call_ceiling_nano_usd", BigInteger),
    Column("balance_nano_usd", BigInteger, nullable=False, comment="what the ledger says, kept beside it"),
    Column("leased_nano_usd", BigInteger, nullable=False),
    Column("spent_nano_usd", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Index(None, "team_id", "id"),
    Index(None, "changed_at"),
    UniqueConstraint("team_id", "owner_kind", "owner_id"),
)

budgets: Final = Table(
    "budgets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("wallet_id", String(64), ForeignKey("wallets.id"), nullable=False),
    Column("period", String(16), nullable=False),
    Column("amount_nano_usd", BigInteger, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("warn_percent", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "team_id", "id"),
    Index(None, "wallet_id"),
)

budget_counters: Final = Table(
    "budget_counters",
    metadata,
    Column("budget_id", String(64), ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
    Column("start_day", Integer, primary_key=True, comment="of the period"),
    Column("spent_nano_usd", BigInteger, nullable=False),
    Column("leased_nano_usd", BigInteger, nullable=False),
)

spenders: Final = Table(
    "spenders",
    metadata,
    Column("id", String(64), primary_key=True, comment="a process"),
    Column("host_id", String(64), nullable=False),
    Column("seen_at", Instant, nullable=False),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("wallet_id", String(64), ForeignKey("wallets.id"), nullable=False),
    Column("spender_id", String(64), ForeignKey("spenders.id"), nullable=False),
    Column("day", Integer, nullable=False),
    Column("amount_nano_usd", BigInteger, nullable=False),
    Column("spent_nano_usd", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("taken_at", Instant, nullable=False),
    Index(None, "team_id", "id"),
    Index(None, "spender_id"),
    Index(None, "wallet_id", "state"),
)

# No foreign keys and two indexes: rows come by the thousand a second. Never updated, never deleted, by triggers.
ledger: Final = Table(
    "ledger",
    metadata,
    Column("id", String(80), primary_key=True, comment="a charge has its call's"),
    Column("at", Instant, nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("wallet_id", String(64), nullable=False),
    Column("debit", String(80), nullable=False),
    Column("credit", String(80), nullable=False),
    Column("amount_nano_usd", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("principal_id", String(64)),
    Column("lease_id", String(64)),
    Column("source", String(64)),
    Column("estimated", Boolean, nullable=False),
    Column("mark", String(16)),
    Column("memo", Text, comment="JSON: what a charge was computed from"),
    CheckConstraint("amount_nano_usd >= 0", name="amount_not_negative"),
    Index(None, "team_id", "wallet_id", "at", "id"),
)

assert TransferRow._fields == tuple(ledger.columns.keys())
