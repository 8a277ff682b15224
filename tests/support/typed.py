"""A command that is typed, in the test's own process: everything of ours is as in a process of its own but its start."""

import io
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from samovar.cli.root import run


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed, parsed."""
        assert self.status == 0, self.err
        return msgspec.json.decode(self.out)


def environment_with(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would configure a Samovar, and with ``settings``."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SAMOVAR_") and not re.search(r"_(API_KEY|BASE_URL)$|^ADMIN_TOKEN$", name)
    }
    return {**inherited, "SAMOVAR_PORT": "0", **settings}


def typed(words: Sequence[str], *, folder: Path, environment: Mapping[str, str], given: str) -> Done:
    """Run ``samovar`` with these words; ``given`` stands on its standard input. What is no plain refusal is raised."""
    out, err = _stream(), _stream()
    with ExitStack() as stack:
        stack.enter_context(chdir(folder))
        stack.enter_context(_environment(environment))
        stack.enter_context(own_logging())
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(_input(_stream(given.encode())))
        status = _status_of(words)
    return Done(status, _text(out), _text(err))


def _status_of(words: Sequence[str]) -> int:
    try:
        run(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _stream(content: bytes = b"") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    """What was written, with the line ends that a text has that is read."""
    stream.flush()
    stream.seek(0)
    return stream.read()


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    _become(environment)
    try:
        yield
    finally:
        _become(before)


def _become(environment: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


@contextmanager
def _input(stream: io.TextIOWrapper) -> Iterator[None]:
    before, sys.stdin = sys.stdin, stream
    try:
        yield
    finally:
        sys.stdin = before


@contextmanager
def own_logging() -> Iterator[None]:
    """Whoever sets logging up inside the block does it for the block alone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    events = structlog.get_config() if structlog.is_configured() else None
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
        structlog.reset_defaults() if events is None else structlog.configure(**events)
