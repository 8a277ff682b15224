"""The HTTP server: uvicorn's, with connections of our own (:mod:`samovar.app.connection`)."""

from functools import partial
from typing import Any, Final

from uvicorn.config import Config

from samovar.app.connection import SamovarProtocol

HEADER_TIMEOUT_S: Final = 10.0
UNREAD_TIMEOUT_S: Final = 60.0
KEEP_ALIVE_S: Final = 75
# A start takes seconds of processor time; where the host is busy with all its workers' at once, many times as long.
HEALTHCHECK_S: Final = 60


def config_of(
    app: Any,
    *,
    host: str,
    port: int,
    workers: int,
    stop_timeout_s: float,
    factory: bool,
    reload_dirs: list[str] | None = None,
    header_timeout_s: float = HEADER_TIMEOUT_S,
    unread_timeout_s: float = UNREAD_TIMEOUT_S,
    keep_alive_s: int = KEEP_ALIVE_S,
) -> Config:
    """Uvicorn's configuration for ours. Its own access log stays off: the edge logs what is worth it."""
    # Workers are sent their configuration: it must be such as can be pickled.
    protocol: Any = partial(SamovarProtocol, header_timeout_s=header_timeout_s, unread_timeout_s=unread_timeout_s)
    return Config(
        app,
        factory=factory,
        host=host,
        port=port,
        workers=workers,
        reload=reload_dirs is not None,
        reload_dirs=reload_dirs,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=max(1, round(stop_timeout_s)),
        timeout_worker_healthcheck=HEALTHCHECK_S,
        backlog=4096,
    )
