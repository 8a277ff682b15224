"""Fixtures for all tests: real databases, real Redis, a clock that stands still."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis
from redis.exceptions import RedisError

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.alembic import migrate
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemIds
from samovar.ports.database import Database
from tests.support.clock import ManualClock
from tests.support.seaweed import SeaweedS3
from tests.support.servers import POSTGRES_URL, REDIS_URL, missing, on_postgres
from tests.support.sweeping import Sweeper
from tests.support.tables import all_tables

BYTECODE = Path(__file__).parents[1] / ".pytest_cache" / "bytecode"


def pytest_configure() -> None:
    """This process and those that tests start, its own workers among them, compile what they load once and not each anew:
    without bytecode a Samovar spends 2 s of CPU before it begins. Some machines tell Python to keep none."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(BYTECODE))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]
    _let_examples_take_their_time()


def _let_examples_take_their_time() -> None:
    # A machine that others work on stops a process for longer than the 200 ms that Hypothesis gives an example: then whichever
    # property is just being tested fails, though it holds. What must be quick is measured where that is tested.
    usual = settings.get_profile(settings.get_current_profile_name())
    waived = {*usual.suppress_health_check, HealthCheck.too_slow}
    settings.register_profile("unhurried", usual, deadline=None, suppress_health_check=waived)
    settings.load_profile("unhurried")


@pytest.fixture
def clock() -> ManualClock:
    """Noon of 21 November 2026, until a test moves it."""
    return ManualClock()


@pytest.fixture
def ids(clock: ManualClock) -> SystemIds:
    """Real ids, dated by the test's clock."""
    return SystemIds(clock=clock)


@pytest.fixture
def box() -> AesGcmBox:
    """A secret box under a key of its own."""
    return AesGcmBox(master_key=os.urandom(32))


@pytest.fixture(scope="session")
def run_name() -> str:
    """Tells this worker of this run from all others; fit for a database's name."""
    return f"samovar_test_{os.getpid()}_{os.urandom(4).hex()}"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, made once and copied for each test."""
    path = tmp_path_factory.mktemp("template") / "samovar.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def empty_postgres_url(run_name: str) -> Iterator[str]:
    """A PostgreSQL database without tables, dropped after the run."""
    try:
        on_postgres(f'CREATE DATABASE "{run_name}"')
    except OSError as error:
        missing("PostgreSQL", error)
    yield f"{POSTGRES_URL}/{run_name}"
    on_postgres(f'DROP DATABASE IF EXISTS "{run_name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres_url(empty_postgres_url: str) -> str:
    """A PostgreSQL database with all tables."""
    asyncio.run(migrate(empty_postgres_url))
    return empty_postgres_url


@pytest.fixture
async def sqlite_database(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[SqliteDatabase]:
    """An SQLite database with empty tables."""
    path = tmp_path / "samovar.db"
    shutil.copyfile(sqlite_template, path)
    database = SqliteDatabase(path)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def sweeper(postgres_url: str) -> Iterator[Sweeper]:
    """Empties the tables between tests."""
    with Sweeper(postgres_url, [table.name for table in all_tables().sorted_tables]) as sweeper:
        yield sweeper


@pytest.fixture
def swept(sweeper: Sweeper) -> None:
    """All tables of the PostgreSQL database are empty."""
    sweeper.sweep()


@pytest.fixture(scope="session")
def postgres_pool(postgres_url: str) -> PostgresDatabase:
    """One for all tests of a run, each with connections of its own: what SQLAlchemy has learned of the server and of statements
    stays, and that is most of what a short test would spend."""
    return PostgresDatabase(postgres_url)


@pytest.fixture
async def postgres_database(swept: None, postgres_pool: PostgresDatabase) -> AsyncIterator[PostgresDatabase]:
    """A PostgreSQL database with empty tables."""
    yield postgres_pool
    await postgres_pool.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """The database port over each of its adapters, with empty tables."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    found: Database = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The URL of a Redis that answers."""
    client = Redis.from_url(REDIS_URL, socket_connect_timeout=2, socket_timeout=2)
    try:
        client.ping()
    except RedisError as error:
        missing("Redis", error)
    finally:
        client.close()
    return REDIS_URL


@pytest.fixture
def redis_prefix(redis_server: str, run_name: str) -> Iterator[str]:
    """A key prefix that no other test has; its keys are deleted afterwards."""
    prefix = f"{run_name}:{os.urandom(4).hex()}:"
    yield prefix
    with Redis.from_url(redis_server) as client:
        for key in client.scan_iter(match=prefix + "*", count=1000):
            client.delete(key)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedS3]:
    """An S3 server that answers."""
    server = SeaweedS3(tmp_path_factory.mktemp("seaweed"))
    server.start()
    yield server
    server.stop()
