"""A key's project and person, and sums of usage by project, user and route."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
COUNTED = ("calls", "unpriced_calls", "estimated_calls", "cost_nano_usd", *TOKENS)
OLD_KEYS = ("team_id", "at", "model", "provider", "principal_id", "surface", "status")
NEW_KEYS = {"project_id": 128, "user_id": 128, "route": 255}
HISTOGRAMS = (*(f"duration_{place}" for place in range(17)), *(f"overhead_{place}" for place in range(10)))


def upgrade() -> None:
    with op.batch_alter_table("gateway_keys") as keys:
        keys.add_column(sa.Column("project_id", sa.String(length=128), nullable=True))
        keys.add_column(sa.Column("user_id", sa.String(length=128), nullable=True))
    with op.batch_alter_table("wallets") as wallets:
        wallets.alter_column(
            "owner_id", existing_type=sa.String(length=64), type_=sa.String(length=128), existing_nullable=True
        )
    # One by one and not in a batch: nothing is copied, however many events there are.
    for name, type_, default in (
        ("project_id", sa.String(length=128), sa.text("''")),
        ("user_id", sa.String(length=128), sa.text("''")),
        ("user_overflows", sa.Boolean(), sa.false()),
        ("strategy", sa.String(length=16), sa.text("''")),
        ("answered_model", sa.String(length=255), sa.text("''")),
    ):
        op.add_column("usage_events", sa.Column(name, type_, nullable=False, server_default=default))
    for name in ("usage_hourly", "usage_daily"):
        _widen(name)


def _widen(name: str) -> None:
    """The table made anew with a longer key; what was summed before is of no known project, user or route."""
    old = f"{name}_old"
    op.rename_table(name, old)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX pk_{name} RENAME TO pk_{old}")
    op.create_table(
        name,
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("at", Instant(), nullable=False, comment="the beginning of the hour or day, UTC"),
        sa.Column("model", sa.String(length=320), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("surface", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        *(sa.Column(key, sa.String(length=chars), nullable=False) for key, chars in NEW_KEYS.items()),
        *(sa.Column(one, sa.BigInteger(), nullable=False) for one in COUNTED),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("overhead_ms", sa.Float(), nullable=False),
        *(sa.Column(one, sa.BigInteger(), nullable=False) for one in HISTOGRAMS),
        sa.PrimaryKeyConstraint(*OLD_KEYS, *NEW_KEYS, name=op.f(f"pk_{name}")),
        sqlite_with_rowid=False,
    )
    same = ", ".join((*OLD_KEYS, *COUNTED, "duration_ms", "overhead_ms", *HISTOGRAMS))
    new = ", ".join(NEW_KEYS)
    nothing = ", ".join("''" for _ in NEW_KEYS)
    op.execute(f"INSERT INTO {name} ({same}, {new}) SELECT {same}, {nothing} FROM {old}")  # noqa: S608  # our own names
    op.drop_table(old)
