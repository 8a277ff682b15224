"""What is away, told when that changes: a loop that tries again every second would else say the same every second."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import structlog

from samovar.kernel.errors import SamovarError, Unavailable

Report: TypeAlias = Callable[[Exception, str], None]
"""Logs a failure, and what it means."""


class Outage:
    """Of one thing that is done again and again: told when it fails first, and when it goes on. What is no ``Unavailable``, nor a
    time that ran out, is a defect, and told each time."""

    def __init__(self, what: str, *, logger: str, report: Report | None = None) -> None:
        """Without ``report`` it is logged here: in one line with the reason, or with a defect's traceback."""
        self._what = what
        self._log = structlog.get_logger(logger)
        self._report = report or partial(_logged, self._log)
        self._is_on = False

    def tell(self, error: Exception) -> None:
        """It failed."""
        is_away = isinstance(error, Unavailable | TimeoutError)
        if not (is_away and self._is_on):
            self._is_on = is_away
            self._report(error, self._what)

    def over(self) -> None:
        """It was done."""
        if self._is_on:
            self._is_on = False
            self._log.info("it goes on", what=self._what)


def _logged(log: structlog.BoundLogger, error: Exception, what: str) -> None:
    if isinstance(error, TimeoutError):
        log.warning(what, reason="it took too long")
    elif isinstance(error, SamovarError):
        log.warning(what, reason=error.detail)
    else:
        log.error(what, exc_info=error)
