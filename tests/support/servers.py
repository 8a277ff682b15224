"""PostgreSQL and Redis as the tests find them, and what happens when they are not there."""

import asyncio
import os
from typing import NoReturn

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

POSTGRES_URL = os.environ.get("SAMOVAR_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432")
REDIS_URL = os.environ.get("SAMOVAR_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


def missing(server: str, error: Exception) -> NoReturn:
    """Skip and say so; where CI promised the server, fail."""
    words = f"{server} does not answer: {error!r}"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def on_postgres(*statements: str) -> None:
    """Run statements, each by itself, in the server's maintenance database. For fixtures outside an event loop."""

    async def run() -> None:
        connection = await asyncpg.connect(f"{POSTGRES_URL}/postgres", timeout=5)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def from_postgres(url: str, question: str) -> list[tuple[object, ...]]:
    """What a database answers. For tests outside an event loop."""

    async def run() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return [tuple(row) for row in await connection.fetch(question)]
        finally:
            await connection.close()

    return asyncio.run(run())
