"""The worker process: takes images from its standard input, a socket, one at a time until that closes.

It decodes what strangers send with libraries in C, so it is made to matter little: no environment, no files, bounded memory
and processor time, the first to go when the machine runs out of memory, and behind everybody else for a processor.
"""

import os
import resource
import socket
import sys
from contextlib import suppress
from math import ceil
from typing import Final

from samovar.adapters.pillow import wire
from samovar.adapters.pillow.preparation import prepare
from samovar.ports.images import BrokenImage, ImageTooLarge, UnsupportedImage

_HEADER_BYTES: Final = 64 * 1024
_OPEN_FILES: Final = 32
_NICENESS: Final = 5


def confine(*, memory_bytes: int) -> None:
    """Give up, for good, what an image never needs."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        allowed = _at_most(most, what)
        resource.setrlimit(what, (allowed, allowed))
    os.nice(_NICENESS)
    with suppress(OSError):  # where a container forbids it, nothing is lost but some politeness
        # To wake up never takes a core from somebody at work.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _at_most(wanted: int, what: int) -> int:
    """A limit that this process may set: whoever started Samovar may have set a harder one."""
    hard = resource.getrlimit(what)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def volunteer_for_the_oom_killer() -> None:
    """Better this process than one that serves everybody. Where there is no such thing, nothing is lost."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")


def allow_processor_time(seconds: int) -> None:
    """For the next image. Counted by the kernel, which then ends the process: also one that nobody waits for any more."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used_s = ceil(usage.ru_utime + usage.ru_stime)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(used_s + seconds, resource.RLIMIT_CPU), hard))


def serve(peer: socket.socket, *, max_bytes: int, processor_s: int) -> None:
    """Say that it has started, and answer each job until the socket closes."""
    wire.send(peer, wire.Ready())
    while True:
        allow_processor_time(processor_s)
        try:
            job, content = wire.receive(peer, max_bytes=max_bytes)
        except (wire.Hangup, OSError):
            return
        assert isinstance(job, wire.Job)
        wire.send(peer, *_answer(job, content))


def _answer(job: wire.Job, content: bytes) -> tuple[wire.Message, bytes]:
    try:
        picture = prepare(content, bounds=job.bounds, limits=job.limits)
    except (UnsupportedImage, BrokenImage, ImageTooLarge) as error:
        return wire.Refused(error.code, error.detail), b""
    except MemoryError:
        return wire.Refused(
            ImageTooLarge.code, "The image needs more memory to be decoded than one image may take."
        ), b""
    except Exception as error:  # noqa: BLE001 - edge: what hostile bytes make a decoder raise has no bounds
        return wire.Refused(
            BrokenImage.code, f"The image is truncated or damaged: it cannot be decoded ({type(error).__name__})."
        ), b""
    return wire.done(picture), picture.content


def main() -> None:
    """Arguments: the most bytes of an image, of memory, and the seconds of processor time an image may take."""
    max_bytes, memory_bytes, processor_s = (int(argument) for argument in sys.argv[1:])
    volunteer_for_the_oom_killer()
    confine(memory_bytes=memory_bytes)
    with socket.socket(fileno=0) as peer:
        serve(peer, max_bytes=max_bytes + _HEADER_BYTES, processor_s=processor_s)


if __name__ == "__main__":
    main()
