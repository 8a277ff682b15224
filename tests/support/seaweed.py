"""A real S3 server of the tests' own: SeaweedFS, from its wheel."""

import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from samovar.adapters.objects import S3Access
from tests.support.servers import missing

ACCESS_KEY = "samovar-tests"
SECRET_KEY = "not-a-secret-of-anybody"
BUCKET = "samovar-tests"
COPIER_KEY = "samovar-copier"
COPIES_BUCKET = "samovar-copies"
"""A bucket of its own, into which the copier may put, look and list, and nothing else."""
_START_S = 60.0
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
)


class SeaweedS3:
    """Listens on ports of its own, keeps its things in ``folder``, and lets in who has the one key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with ExitStack() as held:
            # All are held until all are had, so that no two are the same.
            sockets = [held.enter_context(socket.socket()) for _ in (*_PORTS, "s3.port.grpc")]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            self._ports = {
                name: one.getsockname()[1] for name, one in zip((*_PORTS, "s3.port.grpc"), sockets, strict=True)
            }
        self.access = S3Access(
            endpoint=f"http://127.0.0.1:{self._ports['s3.port']}",
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
        )

    def start(self) -> None:
        """Start, and wait until it answers; where there is no such program, skip, or fail where CI promised it."""
        program = Path(sys.executable).with_name("weed")
        if not program.exists():
            missing("SeaweedFS", FileNotFoundError(program))
        key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        copier = {"accessKey": COPIER_KEY, "secretKey": SECRET_KEY}
        may = [f"{action}:{COPIES_BUCKET}" for action in ("Read", "Write", "List")]
        who = {
            "identities": [
                {"name": "tests", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]},
                {"name": "copier", "credentials": [copier], "actions": may},
            ]
        }
        config = self._folder / "s3.json"
        config.write_text(json.dumps(who))
        words = [
            *("server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
            *(f"-{name}={port}" for name, port in self._ports.items()),
            # A bucket takes seven volumes with its first object, and what was deleted frees none.
            *(f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=200", "-s3.autoCreateBucket=true"),
            # Else they are at ports and paths that two of us would share.
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"),
        ]
        log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen([program, *words], cwd=self._folder, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                words_of_log = (self._folder / "log").read_text("utf-8", "replace")[-2000:]
                self.stop()
                raise RuntimeError(f"SeaweedFS does not start: {words_of_log}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop; stopping twice is no harm."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def _answers(self) -> bool:
        """Whether a small object can be written: its parts come up one after another."""
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        store = S3Store(
            BUCKET,
            endpoint=self.access.endpoint,
            region=self.access.region,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True, "timeout": "2s"},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(store, "first", b"x")
            obstore.delete(store, "first")
        except (BaseError, OSError):
            return False
        return True
