"""What stands in the log: everything that matters, one event a line, from whatever library."""

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from samovar.app.telemetry import logs
from samovar.app.telemetry.redaction import REDACTED

SECRET = "sk-samovar-abcdefghijklmnopqrstuvwx"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _configured(*, json: bool = True, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(json=json, level=level, stream=stream)
    return stream


def _raise() -> None:
    raise ValueError(f"no good: {SECRET}")


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn.asgi", "asyncio", "alembic", "somebody.else"])
def test_an_exception_of_any_library_is_seen_without_its_secrets(name: str) -> None:
    stream = _configured()
    try:
        _raise()
    except ValueError as error:
        logging.getLogger(name).error("failed with %s\n", SECRET, exc_info=error)
    [line] = _lines(stream)
    assert line["event"] == f"failed with {REDACTED}"
    assert (line["level"], line["logger"]) == ("error", name)
    assert line["exception"].endswith(f"ValueError: no good: {REDACTED}")
    assert "test_logs.py" in line["exception"]
    assert SECRET not in stream.getvalue()


def test_a_library_that_was_cut_off_before_is_heard_again() -> None:
    logger = logging.getLogger("uvicorn.error")
    logger.propagate, logger.disabled = False, True
    stream = _configured()
    logger.error("here")
    assert [line["event"] for line in _lines(stream)] == ["here"]


async def test_an_exception_that_only_the_loop_saw_is_in_the_log() -> None:
    stream = _configured()
    asyncio.get_running_loop().call_soon(_raise)
    await asyncio.sleep(0)
    [line] = _lines(stream)
    assert line["logger"] == "asyncio"
    assert "ValueError: no good" in line["exception"]
    assert SECRET not in stream.getvalue()


def test_a_warning_is_in_the_log() -> None:
    stream = _configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure(json=True, level="info", stream=stream)
        warnings.warn("old", UserWarning, stacklevel=1)
    logging.captureWarnings(False)
    assert _lines(stream)[-1]["logger"] == "py.warnings"


def test_our_own_events_are_redacted_with_their_traceback() -> None:
    stream = _configured()
    try:
        _raise()
    except ValueError:
        structlog.get_logger().exception("unexpected", api_key="hunter2", headers=[(b"x-api-key", b"hunter2")])
    [line] = _lines(stream)
    assert line["api_key"] == REDACTED
    assert "hunter2" not in stream.getvalue()
    assert SECRET not in stream.getvalue()
    assert "ValueError" in line["exception"]


@pytest.mark.parametrize("json", [True, False])
def test_logging_raises_nothing(json: bool) -> None:
    class Evil:
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    stream = _configured(json=json)
    structlog.get_logger().info("x", a=Evil(), b="\udfff", c={1: b"\xff"}, d=10**6000, e=float("nan"))
    structlog.get_logger().info("\udfff")
    assert len(stream.getvalue().splitlines()) == 2


def test_on_the_console_nobody_forges_a_line() -> None:
    stream = _configured(json=False)
    structlog.get_logger().info("one\n2026-01-01 [info] two", path="/\x1b[2J\r\nthree")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b[2J" not in stream.getvalue()


def test_a_huge_message_is_cut_in_its_traceback_too() -> None:
    stream = _configured()
    try:
        raise ValueError("x" * 10_000_000)
    except ValueError:
        structlog.get_logger().exception("unexpected")
    assert len(stream.getvalue()) < 100_000


def test_what_is_below_the_level_is_not_written() -> None:
    stream = _configured(level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    assert stream.getvalue() == ""


def test_a_module_logger_follows_a_new_configuration() -> None:
    log = structlog.get_logger()
    first = _configured()
    log.info("one")
    second = _configured()
    log.info("two")
    assert [len(first.getvalue().splitlines()), len(second.getvalue().splitlines())] == [1, 1]
