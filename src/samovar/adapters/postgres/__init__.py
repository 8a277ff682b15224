"""PostgreSQL as the database port, through asyncpg. Statements have a deadline, and a lost connection is replaced."""

from samovar.adapters.postgres.database import PostgresDatabase

__all__ = ["PostgresDatabase"]
