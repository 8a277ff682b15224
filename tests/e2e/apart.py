"""An installation whose roles are processes of their own, on PostgreSQL and Redis."""

import base64
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import ADMIN_TOKEN, Samovar, start_program, wait_for, wait_until_ready
from tests.support import tables_ready
from tests.support.servers import POSTGRES_URL, REDIS_URL, on_postgres


@dataclass
class Apart:
    """``start`` adds a process; all end with the installation."""

    folder: Path
    environment: dict[str, str]
    processes: list[Samovar] = field(default_factory=list)

    def begin(self, role: str, **settings: str) -> tuple[subprocess.Popen[str], Path]:
        """A process of a role, not waited for, and where its output goes."""
        folder = self.folder / f"{role}-{uuid.uuid4().hex[:6]}"
        folder.mkdir()
        values = {"SAMOVAR_PORT": "0", "SAMOVAR_DATA_DIR": str(folder / "data"), "SAMOVAR_ROLES": role}
        output = folder / "output"
        shared = {} if role == "storage-element" else self.environment
        process = start_program(["serve"], output, {**values, **shared, **settings})
        self.processes.append(Samovar("", process, output, data_dir=folder / "data"))
        return process, output

    def start(self, role: str, **settings: str) -> Samovar:
        """A process of a role that serves, and is ready."""
        return self.start_all(role, **settings)[0]

    def start_all(self, *roles: str, **settings: str) -> list[Samovar]:
        """A process of each role."""
        begun = [(*self.begin(role, **settings), self.processes[-1]) for role in roles]
        for process, output, running in begun:
            running.url = wait_for(output, process, r"Samovar on (http://\S+)")
            wait_until_ready(running.url, process, output)
        return [running for _, _, running in begun]

    def storage(self, admin: Samovar, element_id: str, mode: str, **settings: str) -> Samovar:
        """A storage-element with one folder, which stays where it is."""
        elements = f'[{{"id": "{element_id}", "url": "{(self.folder / element_id).as_uri()}", "mode": "{mode}"}}]'
        return self.start("storage-element", SAMOVAR_ADMIN_URL=admin.url, SAMOVAR_STORAGE_ELEMENTS=elements, **settings)


def register(admin: Samovar, storage: Samovar, element_id: str, mode: str) -> None:
    """Make it known."""
    new = {"id": element_id, "url": storage.url, "mode": mode}
    status, said, _ = admin.request("POST", "/api/storage-elements", new)
    assert (status, said["is_away"]) == (201, False), said


def kill(running: Samovar) -> None:
    """As a power cut would."""
    running.process.kill()
    running.process.wait(10)


def port_of(running: Samovar) -> str:
    """Where it listens."""
    found = re.search(r":(\d+)$", running.url)
    assert found is not None
    return found[1]


def until(look: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until ``look()`` is true."""
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


@contextmanager
def installation(folder: Path) -> Iterator[Apart]:
    """Nothing of it runs yet."""
    name = f"apart_{uuid.uuid4().hex[:10]}"
    tables_ready.on_server(name)
    with ExitStack() as stack:
        stack.callback(on_postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        apart = Apart(
            folder,
            {
                "SAMOVAR_DATABASE_URL": f"{POSTGRES_URL}/{name}",
                "SAMOVAR_REDIS_URL": REDIS_URL,
                "SAMOVAR_REDIS_PREFIX": name,
                "SAMOVAR_MASTER_KEY": base64.b64encode(os.urandom(32)).decode(),
                "SAMOVAR_STORAGE_REST_S": "1",
                "ADMIN_TOKEN": ADMIN_TOKEN,
            },
        )
        stack.callback(_stop, apart)
        yield apart


def _stop(apart: Apart) -> None:
    for running in apart.processes:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
    for running in apart.processes:
        try:
            running.process.wait(20)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait(10)
