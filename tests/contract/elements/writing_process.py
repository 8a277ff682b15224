"""Writes to the element in the folder given until it is killed: a line for each file that it was told stands, or is gone."""

import asyncio
import hashlib
import os
import random
import sys
from pathlib import Path

from samovar.adapters.disk import DiskElement
from samovar.adapters.system import SystemClock
from samovar.ports.elements import Mode
from tests.contract.elements.drafts import draft, pieces

WRITERS = 8
LARGEST_BYTES = 3_000_000


async def main(root: str, name: str) -> None:
    """Eight writers at once, each with files of all sizes."""
    element = DiskElement(Path(root), element_id="se-1", mode=Mode.EDIT, clock=SystemClock(), segment_bytes=4096)
    await element.start()
    say("started", "-")
    await asyncio.gather(*(write(element, f"{name}-{number}") for number in range(WRITERS)))


async def write(element: DiskElement, name: str) -> None:
    """Files one after another: whole, in pieces, deleted again, acknowledged or not."""
    chance, count = random.Random(name), 0
    while True:
        count += 1
        wanted = draft(f"{name}-{count}")
        content = os.urandom(chance.choice((0, 10, 4096, 65536, LARGEST_BYTES)))
        say("tries", wanted.path, hashlib.sha256(content).hexdigest())
        if chance.random() < 0.3:
            await element.begin(wanted)
            half = len(content) // 2
            await element.append(wanted.file_id, offset_bytes=0, content=pieces(content[:half]))
            await element.append(wanted.file_id, offset_bytes=half, content=pieces(content[half:]))
            made = await element.finish(wanted.file_id)
        else:
            made = await element.write(wanted, pieces(content))
        say("stands", made.path, made.checksum)
        if chance.random() < 0.5:
            await element.acknowledge([(made.file_id, made.revision)])
        if chance.random() < 0.2:
            say("deletes", made.path)
            await element.delete(made.path)
            say("gone", made.path)


def say(*words: str) -> None:
    """One write: a line is there whole or not at all."""
    os.write(1, " ".join(words).encode() + b"\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
