"""Alembic's way in. Samovar hands over an open connection, in the transaction that holds the migration lock."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from samovar.ports.database import Instant, Json


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Our own column types by their names; everything else as Alembic would."""
    if kind == "type" and isinstance(item, Instant | Json):
        name = type(item).__name__
        autogen.imports.add(f"from samovar.ports.database import {name}")
        return f"{name}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    render_item=render_item,
    # SQLite changes tables by making them anew.
    render_as_batch=True,
    # SQLite can roll back its DDL; Alembic only does not know that our connection lets it.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
