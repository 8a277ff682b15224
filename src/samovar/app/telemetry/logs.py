"""Logs: structlog, JSON or console. The standard library's loggers (uvicorn, asyncio, alembic) go through the same chain.

Redaction stands last before the text is made, so that exceptions are covered too. Logging raises nothing: a line that
cannot be made is replaced by one that says so.
"""

import json as stdlib_json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import msgspec
import structlog

from samovar.app.telemetry.redaction import MAX_EVENT_CHARS, redact, redact_text

_MAX_TRACEBACK_CHARS: Final = 32 * 1024
_TEXTS_OF_LINES: Final = ("exception", "stack")
# Written out, a control character could forge a line or repaint a terminal.
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
_ONE_LINE: Final = _CONTROL | {10: "\\n"}
_QUIET: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "alembic")

Event = MutableMapping[str, Any]


def configure(*, json: bool, level: str, stream: TextIO | None = None) -> None:
    """Set up logging for the process, on ``stream`` (standard error if none is given). May be called again."""
    stream = stream or sys.stderr
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    render = _Renderer(_json if json else _console(colors=stream.isatty()), one_line=not json)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        # Not cached: a module's logger would go on writing to the stream of the first configuration.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_named, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in _QUIET:
        logger = logging.getLogger(name)
        logger.setLevel(max(threshold, logging.WARNING))
        # Whoever configured logging before us (a library's own defaults, fileConfig) may have cut these off.
        logger.handlers[:] = []
        logger.propagate, logger.disabled = True, False
    logging.captureWarnings(True)


class _Renderer:
    """The last processor: an event to a line."""

    def __init__(self, render: Any, *, one_line: bool) -> None:
        self._render = render
        self._one_line = one_line

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        try:
            clean = _clean(event)
            if self._one_line:
                clean = {name: _printable(name, value) for name, value in clean.items()}
            return str(self._render(logger, method, clean))
        except Exception as error:  # noqa: BLE001  # edge: a log line must never end what it reports on
            words = {"event": "a log line could not be made", "level": "error", "kind": type(error).__name__}
            return str(self._render(logger, method, words))


def _clean(event: Event) -> dict[str, Any]:
    texts = {
        name: redact_text(value, max_chars=_MAX_TRACEBACK_CHARS)
        for name in _TEXTS_OF_LINES
        if isinstance(value := event.pop(name, None), str)
    }
    clean: dict[str, Any] = redact(event)
    return clean | texts


def _printable(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.translate(_CONTROL if name in _TEXTS_OF_LINES else _ONE_LINE)


def _json(_logger: Any, _method: str, event: Mapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(event).decode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only say escaped
        return stdlib_json.dumps(event)[: 2 * MAX_EVENT_CHARS]


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def _named(_logger: Any, _method: str, event: Event) -> Event:
    """Say which library speaks."""
    event["logger"] = event["_record"].name
    event["event"] = str(event["event"]).strip()
    return event
