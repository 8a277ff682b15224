"""A timer finer than the event loop's own: uvloop wakes on whole milliseconds, which is longer than a call through Samovar takes.

Linux's timerfd fires within tens of microseconds and waits in the loop's poll like a socket. Python wraps it only from 3.13 on.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable

_CLOCK_MONOTONIC = 1  # the clock of time.perf_counter on Linux
_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class _Spec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class FineTimer:
    """Calls `wake` once at each time given to `arm` (seconds of `perf_counter`); close it when done.

    Raises OSError where the kernel has no such timer.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._fired)

    def arm(self, at: float) -> None:
        nanoseconds = max(1, int(at * 1e9))  # zero would disarm
        spec = _Spec(0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _fired(self) -> None:
        os.read(self._fd, 8)
        self._wake()
