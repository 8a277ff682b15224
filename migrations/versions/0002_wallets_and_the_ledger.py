"""Wallets, budgets, leases and the ledger; a key may name its wallet."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.String(length=80), nullable=False, comment="a charge has its call's"),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("wallet_id", sa.String(length=64), nullable=False),
        sa.Column("debit", sa.String(length=80), nullable=False),
        sa.Column("credit", sa.String(length=80), nullable=False),
        sa.Column("amount_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=True),
        sa.Column("lease_id", sa.String(length=64), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("mark", sa.String(length=16), nullable=True),
        sa.Column("memo", sa.Text(), nullable=True, comment="JSON: what a charge was computed from"),
        sa.CheckConstraint("amount_nano_usd >= 0", name=op.f("ck_ledger_amount_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_ledger_team_id_wallet_id_at_id"), ["team_id", "wallet_id", "at", "id"], unique=False
        )

    op.create_table(
        "spenders",
        sa.Column("id", sa.String(length=64), nullable=False, comment="a process"),
        sa.Column("host_id", sa.String(length=64), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spenders")),
    )
    op.create_table(
        "wallets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("owner_kind", sa.String(length=16), nullable=True),
        sa.Column("owner_id", sa.String(length=64), nullable=True),
        sa.Column("unlimited", sa.Boolean(), nullable=False),
        sa.Column("call_ceiling_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("balance_nano_usd", sa.BigInteger(), nullable=False, comment="what the ledger says, kept beside it"),
        sa.Column("leased_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("spent_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_wallets_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wallets")),
        sa.UniqueConstraint("team_id", "owner_kind", "owner_id", name=op.f("uq_wallets_team_id_owner_kind_owner_id")),
    )
    with op.batch_alter_table("wallets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_wallets_changed_at"), ["changed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_wallets_team_id_id"), ["team_id", "id"], unique=False)

    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("wallet_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("amount_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("warn_percent", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_budgets_team_id_teams")),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name=op.f("fk_budgets_wallet_id_wallets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    with op.batch_alter_table("budgets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_budgets_team_id_id"), ["team_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_budgets_wallet_id"), ["wallet_id"], unique=False)

    op.create_table(
        "leases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("wallet_id", sa.String(length=64), nullable=False),
        sa.Column("spender_id", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("amount_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("spent_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("taken_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["spender_id"], ["spenders.id"], name=op.f("fk_leases_spender_id_spenders")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_leases_team_id_teams")),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name=op.f("fk_leases_wallet_id_wallets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
    )
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_leases_spender_id"), ["spender_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_leases_team_id_id"), ["team_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_leases_wallet_id_state"), ["wallet_id", "state"], unique=False)

    op.create_table(
        "budget_counters",
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("start_day", sa.Integer(), nullable=False, comment="of the period"),
        sa.Column("spent_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("leased_nano_usd", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["budgets.id"], name=op.f("fk_budget_counters_budget_id_budgets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("budget_id", "start_day", name=op.f("pk_budget_counters")),
    )
    with op.batch_alter_table("gateway_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("wallet_id", sa.String(length=64), nullable=True))
    _forbid_changes()


def _forbid_changes() -> None:
    """What stands in the ledger stays: not even a defect of ours may change it."""
    words = "the ledger is append only"
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER ledger_no_{change.lower()} BEFORE {change} ON ledger"
                f" BEGIN SELECT RAISE(ABORT, '{words}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{words}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()"
    )
