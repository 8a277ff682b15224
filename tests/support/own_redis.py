"""A Redis of a test's own, which it may stop and start."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.support.servers import missing

_START_S = 10.0


class OwnRedis:
    """Listens on a port of its own and keeps nothing."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            missing("redis-server", FileNotFoundError("redis-server"))
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([program, *words], cwd=self._folder, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        with Redis(port=self._port) as client:
            while True:
                try:
                    client.ping()
                    return
                except RedisError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

    def stop(self) -> None:
        """Stop; stopping twice is no harm."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
