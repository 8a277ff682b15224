"""Which prompt of the registry a call asked, and sums of usage by it."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
COUNTED = ("calls", "unpriced_calls", "estimated_calls", "cost_nano_usd", *TOKENS)
OLD_KEYS = {
    "team_id": sa.String(length=64),
    "at": Instant(),
    "model": sa.String(length=320),
    "provider": sa.String(length=64),
    "principal_id": sa.String(length=64),
    "surface": sa.String(length=32),
    "status": sa.String(length=16),
    "project_id": sa.String(length=128),
    "user_id": sa.String(length=128),
    "route": sa.String(length=255),
}
COMMENTS = {"at": "the beginning of the hour or day, UTC"}
HISTOGRAMS = (*(f"duration_{place}" for place in range(17)), *(f"overhead_{place}" for place in range(10)))


def upgrade() -> None:
    # One by one and not in a batch: nothing is copied, however many events there are.
    for column in (
        sa.Column("prompt_id", sa.BigInteger(), comment="the version of a prompt of the registry that was asked"),
        sa.Column("prompt_version", sa.Integer()),
        sa.Column("prompt_revision", sa.Integer(), comment="of that version's text"),
    ):
        op.add_column("usage_events", column)
    for name in ("usage_hourly", "usage_daily"):
        _widen(name)


def _widen(name: str) -> None:
    """The table made anew with a longer key; what was summed before asked no known prompt."""
    old = f"{name}_old"
    op.rename_table(name, old)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX pk_{name} RENAME TO pk_{old}")
    op.create_table(
        name,
        *(sa.Column(key, type_, nullable=False, comment=COMMENTS.get(key)) for key, type_ in OLD_KEYS.items()),
        sa.Column("prompt_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="0 for none"),
        *(sa.Column(one, sa.BigInteger(), nullable=False) for one in COUNTED),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("overhead_ms", sa.Float(), nullable=False),
        *(sa.Column(one, sa.BigInteger(), nullable=False) for one in HISTOGRAMS),
        sa.PrimaryKeyConstraint(*OLD_KEYS, "prompt_id", name=op.f(f"pk_{name}")),
        sqlite_with_rowid=False,
    )
    same = ", ".join((*OLD_KEYS, *COUNTED, "duration_ms", "overhead_ms", *HISTOGRAMS))
    op.execute(f"INSERT INTO {name} ({same}, prompt_id) SELECT {same}, 0 FROM {old}")  # noqa: S608  # our own names
    op.drop_table(old)
