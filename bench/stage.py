"""Sets up what is measured: the sandbox, Samovar and nginx as processes in a temporary directory; takes all of it down again."""

import dataclasses
import getpass
import http.client
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from bench.callgrind import Callgrind
from bench.lanes import Lane
from bench.load.request import Target
from bench.machine import Cores
from bench.processes import Child, CoreTime

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
COUNTED_START_TIMEOUT_S = 300.0
UPLOAD_TIMEOUT_S = 120.0
POLL_S = 0.004
UPSTREAM_KEY = "sk-bench"
KEY_ORDER = {"name": "bench"}

_NGINX = """
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 100000000;
  upstream sandbox {{ server {host}:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen {host}:{port} backlog=4096;
    location / {{
      proxy_pass http://sandbox;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""

_NGINX_SERVING = """
user {user};
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen {host}:{port};
    location / {{ root {folder}; }}
  }}
}}
"""


class Stage:
    """Use as a context manager: everything started on it ends with it, and its directory goes."""

    def __init__(self, *, cores: Cores, program: Path, source: Path) -> None:
        self._cores = cores
        self._source = source
        self._program = program
        self._stack = ExitStack()
        self._directory = Path()
        self._sandbox: Child | None = None
        self._sandbox_port = 0
        self._admin_token = secrets.token_urlsafe(24)
        self._count = 0

    def __enter__(self) -> "Stage":
        self._directory = Path(tempfile.mkdtemp(prefix="samovar-bench-"))
        self._stack.callback(shutil.rmtree, self._directory, ignore_errors=True)
        os.sched_setaffinity(0, self._cores.load)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sandbox(self) -> Lane:
        """The way straight to the sandbox, which is started the first time."""
        if self._sandbox is None:
            port = free_port()
            command = [str(self._program), "sandbox", "--port", str(port)]
            self._sandbox = self._start("sandbox", command, {}, self._cores.sandbox)
            self._sandbox_port = port
            _wait(self._sandbox, Target(HOST, port), "/v1/models")
        target = Target(HOST, self._sandbox_port)
        return Lane("sandbox", target, UPSTREAM_KEY, gateway=False, processes={"sandbox": self._sandbox})

    def samovar(self, program: Path | None = None) -> Lane:
        """The way through a fresh Samovar: own data directory, a key of its own, the sandbox as both its vendors. ``program`` is
        that of another build."""
        straight = self.sandbox()
        command = None if program is None else [str(program), "serve"]
        child, target, _ = self.start_samovar(self.fresh_directory(), admin_token=self._admin_token, command=command)
        key = _make_key(child, target, self._admin_token)
        return Lane("samovar", target, key, gateway=True, processes={"samovar": child, **straight.processes})

    def counted(self, program: Path | None = None) -> tuple[Lane, Callgrind]:
        """As :meth:`samovar`, with its instructions counted. Raises LookupError where what counts them is not there."""
        straight = self.sandbox()
        callgrind = Callgrind(self.fresh_directory())
        command = callgrind.command(program or self._program)
        child, target, _ = self.start_samovar(
            self.fresh_directory(), admin_token=self._admin_token, command=command, timeout_s=COUNTED_START_TIMEOUT_S
        )
        callgrind.begin(child.pid)
        key = _make_key(child, target, self._admin_token)
        return Lane("counted", target, key, gateway=True, processes={"samovar": child, **straight.processes}), callgrind

    def paid(self, samovar: Lane) -> Lane:
        """Through the same Samovar with another key: a wallet with a hard budget pays for its calls, and limits that are set
        high count its requests, its tokens and its calls at once."""
        child = samovar.processes["samovar"]

        def post(path: str, order: dict[str, object]) -> str:
            return str(_post(child, samovar.target, path, order, self._admin_token)["id"])

        wallet = post("/api/wallets", {"name": "bench", "credits": "100000000"})
        budget: dict[str, object] = {"wallet_id": wallet, "period": "day", "credits": "100000000", "mode": "hard_stop"}
        post("/api/budgets", budget)
        made = _post(child, samovar.target, "/api/keys", {**KEY_ORDER, "wallet_id": wallet}, self._admin_token)
        limits = {"limits": "10000000/minute; 100000000/hour", "tokens": "1000000000/minute", "concurrency": 5000}
        post("/api/quotas", {"subject": "key", "subject_id": made["id"], **limits})
        return dataclasses.replace(samovar, key=str(made["key"]))

    def prompt(self, samovar: Lane) -> int:
        """A prompt of a usual length, the default in Russian; its id."""
        order = {
            "namespace": "default",
            "name": "bench",
            "lang": "ru",
            "text": "Опиши картинку. " * 60,
            "make_default": True,
        }
        made = _post(samovar.processes["samovar"], samovar.target, "/v1/prompts", order, self._admin_token)
        return int(made["id"])

    def upload(self, samovar: Lane, source: Path) -> str:
        """A file with this content in Samovar; its id."""
        connection = http.client.HTTPConnection(samovar.target.host, samovar.target.port, timeout=UPLOAD_TIMEOUT_S)
        headers = {
            "authorization": f"Bearer {samovar.key}",
            "content-type": "application/octet-stream",
            "content-length": str(source.stat().st_size),
            "x-filename": source.name,
        }
        try:
            with source.open("rb") as content:
                connection.request("POST", "/api/files/upload", content, headers)
                answer = connection.getresponse()
                told = answer.read()
        finally:
            connection.close()
        if answer.status != 201:
            raise samovar.processes["samovar"].failure(f"answered an upload with {answer.status}: {told[:300]!r}")
        return str(json.loads(told)["file_id"])

    def observed(self) -> tuple[Lane, Path]:
        """A fresh Samovar that times its event loop's steps, and the file they go to (`bench.observed`)."""
        report = self.fresh_directory() / "steps.json"
        admin_token = secrets.token_urlsafe(24)
        command = [sys.executable, "-m", "bench.observed", str(report)]
        child, target, _ = self.start_samovar(self.fresh_directory(), admin_token=admin_token, command=command)
        key = _make_key(child, target, admin_token)
        return Lane("observed", target, key, gateway=True, processes={"samovar": child}), report

    def nginx(self) -> Lane:
        """The way through nginx as a plain reverse proxy, on Samovar's core. Raises LookupError where there is no nginx."""
        program = _nginx()
        straight = self.sandbox()
        directory, port = self.fresh_directory(), free_port()
        configuration = directory / "nginx.conf"
        text = _NGINX.format(directory=directory, host=HOST, port=port, upstream=straight.target.port)
        configuration.write_text(text, encoding="utf-8")
        command = [program, "-c", str(configuration), "-p", str(directory), "-e", str(directory / "nginx.log")]
        child = self._start("nginx", command, {}, self._cores.subject)
        _wait(child, Target(HOST, port), "/v1/models")
        return Lane(
            "nginx", Target(HOST, port), UPSTREAM_KEY, gateway=False, processes={"nginx": child, **straight.processes}
        )

    def nginx_serving(self, folder: Path) -> Lane:
        """nginx with the files of a folder, on Samovar's core. Raises LookupError where there is no nginx."""
        program, directory, port = _nginx(), self.fresh_directory(), free_port()
        configuration = directory / "nginx.conf"
        text = _NGINX_SERVING.format(user=getpass.getuser(), directory=directory, host=HOST, port=port, folder=folder)
        configuration.write_text(text, encoding="utf-8")
        (folder / "ready").write_bytes(b"ready")
        command = [program, "-c", str(configuration), "-p", str(directory), "-e", str(directory / "nginx.log")]
        child = self._start("nginx", command, {}, self._cores.subject)
        _wait(child, Target(HOST, port), "/ready")
        return Lane("nginx", Target(HOST, port), UPSTREAM_KEY, gateway=False, processes={"nginx": child})

    def start_samovar(
        self,
        data: Path,
        *,
        admin_token: str,
        command: list[str] | None = None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> tuple[Child, Target, float]:
        """Samovar on this data directory, once it is ready, and the seconds from exec until then."""
        upstream = f"http://{HOST}:{self.sandbox().target.port}"
        port = free_port()
        environment = {
            "SAMOVAR_HOST": HOST,
            "SAMOVAR_PORT": str(port),
            "SAMOVAR_DATA_DIR": str(data),
            "ADMIN_TOKEN": admin_token,
            "OPENAI_API_KEY": UPSTREAM_KEY,
            "OPENAI_BASE_URL": f"{upstream}/v1",
            "ANTHROPIC_API_KEY": UPSTREAM_KEY,
            "ANTHROPIC_BASE_URL": upstream,
            "PYTHONPATH": str(self._source),
        }
        child = self._start("samovar", command or [str(self._program), "serve"], environment, self._cores.subject)
        target = Target(HOST, port)
        return child, target, _wait(child, target, "/ready", timeout_s)

    def subject_core(self) -> CoreTime:
        """All that goes on on Samovar's core."""
        return CoreTime(self._cores.subject)

    def trivial(self) -> tuple[Child, Target]:
        """The trivial server, on Samovar's core."""
        port = free_port()
        command = [sys.executable, "-m", "bench.trivial", str(port)]
        child = self._start("trivial", command, {"PYTHONPATH": str(self._source)}, self._cores.subject)
        target = Target(HOST, port)
        _wait(child, target, "/")
        return child, target

    def fresh_directory(self) -> Path:
        """An empty directory that goes with the stage."""
        return Path(tempfile.mkdtemp(dir=self._directory))

    def _start(self, name: str, command: list[str], environment: dict[str, str], cores: frozenset[int]) -> Child:
        self._count += 1
        child = Child(
            name,
            command,
            # Nothing of the caller's environment but what a program needs to run: no keys, no settings.
            environment={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._directory), "LANG": "C.UTF-8"}
            | environment,
            directory=self._directory,
            cores=cores,
            log=self._directory / f"{self._count}-{name}.log",
        )
        return self._stack.enter_context(child)


def program_beside_python() -> Path:
    """The `samovar` program of the environment that runs the bench."""
    return Path(sys.executable).parent / "samovar"


def _nginx() -> str:
    """Raises LookupError where there is none."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise LookupError("there is no nginx on this machine")
    return program


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _wait(child: Child, target: Target, path: str, timeout_s: float = START_TIMEOUT_S) -> float:
    """Seconds from the child's start until `path` answers 200. Raises ChildFailed when it ends or takes too long."""
    headers = {"authorization": f"Bearer {UPSTREAM_KEY}"}
    last = "nothing"
    while perf_counter() - child.started < timeout_s:
        child.check()
        connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
        try:
            connection.request("GET", path, headers=headers)
            status = connection.getresponse().status
            if status == 200:
                return perf_counter() - child.started
            last = f"status {status}"
        except (OSError, http.client.HTTPException) as error:
            last = type(error).__name__
        finally:
            connection.close()
        sleep(POLL_S)
    raise child.failure(f"was not ready within {timeout_s:g} s ({path}: {last})")


def _make_key(child: Child, target: Target, admin_token: str) -> str:
    return str(_post(child, target, "/api/keys", KEY_ORDER, admin_token)["key"])


def _post(child: Child, target: Target, path: str, order: Mapping[str, object], admin_token: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(target.host, target.port, timeout=START_TIMEOUT_S)
    try:
        headers = {"x-admin-token": admin_token, "content-type": "application/json"}
        connection.request("POST", path, json.dumps(order), headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 201:
        raise child.failure(f"answered POST {path} with status {answer.status}: {content[:300]!r}")
    found: dict[str, Any] = json.loads(content)
    return found
