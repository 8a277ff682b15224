"""``samovar serve``: bind, bring the database up to date, say where to look, serve."""

import asyncio
import atexit
import errno
import os
import shutil
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from rich.console import Console

from samovar.app.settings import Settings
from samovar.cli.output import CannotDo

if TYPE_CHECKING:
    from uvicorn.config import Config

_OUT = Console(highlight=False, soft_wrap=True)


def serve(settings: Settings, *, reload: bool) -> None:
    """Serve until told to stop. Raises :class:`CannotDo`."""
    if settings.workers > 1:
        folder = mkdtemp(prefix="samovar-metrics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        # prometheus_client reads this once, when it is imported, in every worker.
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
    from samovar.app.telemetry import logs

    logs.configure(json=settings.json_logs, level=settings.log_level)
    with _bind(settings.host, settings.port) as listening:
        _serve_on(listening, settings, reload=reload)


def _serve_on(listening: socket.socket, settings: Settings, *, reload: bool) -> None:
    from uvicorn.server import Server
    from uvicorn.supervisors import ChangeReload

    from samovar.app.application import create_app

    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    has_folders = asyncio.run(_prepare(settings))
    if settings.workers > 1 and not reload:
        _serve_by_several(listening, settings, has_folders=has_folders)
        return
    config = _config(partial(create_app, settings), settings, reload=reload)
    server = Server(config)
    if reload:
        ChangeReload(config, target=server.run, sockets=[listening]).run()
        return
    server.run(sockets=[listening])
    if not server.started:
        raise CannotDo("the server did not start; the log above says why")


def _serve_by_several(listening: socket.socket, settings: Settings, *, has_folders: bool) -> None:
    from samovar.adapters.system import SystemClock
    from samovar.app.application import create_app, create_folder_app
    from samovar.app.processes import Processes, private_socket

    with private_socket() as private:
        folders_at = f"http://127.0.0.1:{private.getsockname()[1]}" if has_folders else ""
        processes = Processes(
            _config(partial(create_app, settings, folders_at=folders_at), settings),
            [listening],
            folders=_config(partial(create_folder_app, settings), settings) if has_folders else None,
            folders_socket=private,
            clock=SystemClock(),
        )
        processes.run()
    if processes.is_broken:
        raise CannotDo("the process that has the folders of files did not start; the log above says why")


def _config(app: Callable[[], Any], settings: Settings, *, reload: bool = False) -> "Config":
    from samovar.app.server import config_of

    return config_of(
        app,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        stop_timeout_s=settings.stop_timeout_s,
        unread_timeout_s=settings.unread_timeout_s,
        factory=True,
        reload_dirs=[str(Path(__file__).parents[1])] if reload else None,
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        remedy = "stop what listens there, or choose another port with --port or SAMOVAR_PORT"
        if error.errno != errno.EADDRINUSE:
            remedy = "choose another address with --host or SAMOVAR_HOST, or a port above 1023 with --port"
        raise CannotDo(f"{host}:{port} cannot be listened on ({error.strerror}): {remedy}") from error
    listening.set_inheritable(True)
    return listening


async def _prepare(settings: Settings) -> bool:
    """Everything that is done once and not by each worker. Whether there are folders of files, for one process to have."""
    from samovar.app.services import Services
    from samovar.app.upkeep import migrated

    if settings.is_storage_alone:
        _say_where(settings)
        return True
    if settings.auto_migrate:
        await migrated(settings)
    services = Services(settings)
    try:
        first = await services.prepare()
        has_folders = await services.files.has_folders()
    finally:
        await services.database.close()
    _say_where(settings)
    if first is not None:
        _say_first(settings, first.admin_token, first.key.secret if first.key else None)
    sys.stdout.flush()
    return has_folders


def _say_where(settings: Settings) -> None:
    _OUT.print(f"[bold]Samovar[/bold] on {settings.url}   docs: {settings.url}/docs   data: {settings.data_dir}")
    sys.stdout.flush()


def _say_first(settings: Settings, admin_token: str | None, key: str | None) -> None:
    if admin_token:
        _OUT.print(f"\n  admin token  {admin_token}   (shown once; send it as X-Admin-Token)")
    if key:
        _OUT.print(f"  first key    {key}   (shown once; `samovar keys create` makes another)")
        _OUT.print(
            f"\n  Try it:\n  curl {settings.url}/v1/chat/completions -H 'Authorization: Bearer {key}'"
            " -H 'Content-Type: application/json'"
            ' -d \'{"model": "sandbox/echo", "messages": [{"role": "user", "content": "Hello, Samovar!"}]}\'\n'
        )
