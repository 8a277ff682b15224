"""URL scheme to adapter. Adapters are imported when they are chosen: an embedded start pays for no driver it does not use."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from samovar.adapters.memory import MemoryBus, MemoryCache, MemoryLimiter
from samovar.app.settings import Settings, SettingsInvalid
from samovar.ports.cache import Cache
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import Mode, StorageElement
from samovar.ports.events import Bus
from samovar.ports.limits import SharedLimits

if TYPE_CHECKING:
    from samovar.adapters.objects import S3Access


class RedisObserver(Protocol):
    """Hears of each operation on Redis."""

    def __call__(self, operation: str, outcome: str) -> None: ...


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What processes share, or one process has to itself. ``ping`` raises ``Unavailable`` where it does not answer."""

    cache: Cache
    limiter: SharedLimits
    bus: Bus
    ping: Callable[[], Awaitable[None]] | None
    close: Callable[[], Awaitable[None]] | None


def database(settings: Settings) -> Database:
    """The database that ``SAMOVAR_DATABASE_URL`` names."""
    scheme, _, rest = settings.database.partition(":")
    if scheme == "sqlite":
        from samovar.adapters.sqlite import SqliteDatabase

        prepare_folder(settings)
        return SqliteDatabase(
            sqlite_path(rest), pool_size=settings.database_pool_size, max_overflow=settings.database_pool_overflow
        )
    from samovar.adapters.postgres import PostgresDatabase

    return PostgresDatabase(
        settings.database,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_overflow,
        statement_cache=settings.database_statement_cache,
    )


def prepare_folder(settings: Settings) -> None:
    """Make the folder of an SQLite database. Raises ``SettingsInvalid`` where it cannot be made."""
    scheme, _, rest = settings.database.partition(":")
    if scheme == "sqlite":
        folder = sqlite_path(rest).parent
        try:
            # Usage and sealed secrets stand in it: other users of the machine have no business there.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsInvalid([f"SAMOVAR_DATA_DIR: {folder} cannot be made: {error.strerror}"]) from error


def sqlite_path(rest: str) -> Path:
    """The file of ``sqlite:<rest>``: ``///relative`` or ``////absolute``, as SQLAlchemy writes it."""
    return Path(rest.removeprefix("///") if rest.startswith("///") else rest.removeprefix("//"))


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How elements of other processes are reached: a token for the role ``storage``, how long one rests that failed, and whom to
    believe besides the system's certificates."""

    token: Callable[[], Awaitable[str]]
    rest_s: float
    ca_pem: bytes | None = None


def element_for(
    url: str,
    *,
    element_id: str,
    mode: Mode,
    clock: Clock,
    may_begin: Callable[[], bool] = lambda: True,
    s3: "S3Access | None" = None,
    reach: Reach | None = None,
) -> StorageElement:
    """The storage element at ``url``, not started. ``file:///folder`` is a folder of this machine, which one process at a time
    may have; ``s3:``, ``gs:`` and ``az:`` name a bucket, which several may have; ``http:`` and ``https:`` another process, which
    knows the mode itself. ``mode`` is the configured one; ``may_begin``: whether a folder without its mark may become it. Raises
    ``ValueError`` for an address that is none."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and reach is not None:
        from samovar.adapters.remote import Bounds, RemoteElement

        if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("must name a process: https://storage-1:8080")
        bounds = Bounds(breaker_s=reach.rest_s)
        return RemoteElement(
            url, element_id=element_id, token=reach.token, clock=clock, bounds=bounds, ca_pem=reach.ca_pem
        )
    if parts.scheme == "file":
        from samovar.adapters.disk import DiskElement

        return DiskElement(folder_of(url), element_id=element_id, mode=mode, clock=clock, may_begin=may_begin)
    if (
        parts.scheme not in ("s3", "gs", "az")
        or not parts.netloc
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError(
            "must be file:///folder, s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix or"
            " https://host:port of a process with the role storage-element"
        )
    from samovar.adapters.bucket import BucketElement

    config = s3.config() if s3 is not None and parts.scheme == "s3" else {}
    return BucketElement(
        url,
        element_id=element_id,
        mode=mode,
        clock=clock,
        config=config,
        allow_http=config.get("endpoint", "").startswith("http:"),
    )


def folder_of(url: str) -> Path:
    """The folder that a ``file:`` address names. Raises ``ValueError``."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ValueError("must name a folder from the root: file:///var/lib/samovar/files")
    return Path(unquote(parts.path))


def shared(settings: Settings, *, clock: Clock, observe: RedisObserver) -> Shared:
    """Cache, limits and events: in this process, or on the Redis that ``SAMOVAR_REDIS_URL`` names."""
    if not settings.redis_url:
        return Shared(
            cache=MemoryCache(clock=clock), limiter=MemoryLimiter(clock=clock), bus=MemoryBus(), ping=None, close=None
        )
    from samovar.adapters.redis import RedisBus, RedisCache, RedisLimiter, RedisLink

    link = RedisLink(settings.redis_url, clock=clock, observe=observe)
    return Shared(
        cache=RedisCache(link=link, prefix=f"{settings.redis_prefix}:cache:"),
        limiter=RedisLimiter(link=link, prefix=f"{settings.redis_prefix}:limit:"),
        bus=RedisBus(link=link, prefix=f"{settings.redis_prefix}:event:"),
        ping=link.ping,
        close=link.close,
    )
