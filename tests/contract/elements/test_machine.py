"""An element against a dict: whatever is done in whatever order, with restarts and power cuts in between, both say the same."""

import asyncio
import hashlib
import os
import random
from abc import abstractmethod
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from samovar.adapters.bucket import BucketElement
from samovar.adapters.disk import DiskElement
from samovar.kernel.errors import Conflict, StaleRevision
from samovar.ports.elements import (
    Attributes,
    ContentDiffers,
    FileNotThere,
    Mode,
    OffsetDiffers,
    StorageElement,
)
from tests.contract.elements.drafts import content_of, draft, pieces, walked
from tests.contract.elements.simulated_disk import SimulatedDisk
from tests.support.clock import ManualClock
from tests.support.seaweed import BUCKET, SeaweedS3

T = TypeVar("T")

NAMES = st.sampled_from(["a", "b", "c", "d"])
KEPT = {"empty": b"", "tea": b"tea", "short": b"tea and milk" * 1000, "long": bytes(range(256)) * 5000}
# By name: Hypothesis keeps what is drawn, and writes down with each draw what there was to draw from; megabytes became gigabytes.
CONTENTS = st.sampled_from(sorted(KEPT)).map(lambda name: KEPT[name])


class ElementMachine(RuleBasedStateMachine):
    """``files`` is the dict."""

    element: StorageElement

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.files: dict[str, tuple[bytes, Attributes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.unacknowledged: set[str] = set()
        self.begin_life()

    @abstractmethod
    def begin_life(self) -> None:
        """Make an element at a new place."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the element and start it where it was."""

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    def teardown(self) -> None:
        self.run(self.element.close())
        self.loop.close()

    def made(self, made: Attributes, content: bytes) -> None:
        assert made.checksum == hashlib.sha256(content).hexdigest()
        self.files[made.path] = (content, made)
        self.unacknowledged.add(made.path)

    @rule(name=NAMES, content=CONTENTS, cut=st.floats(0, 1))
    def write(self, name: str, content: bytes, cut: float) -> None:
        wanted, at = draft(name), int(len(content) * cut)
        writing = self.element.write(wanted, pieces(content[:at], content[at:]))
        if wanted.path in self.files:
            assert self.run(writing) == self.files[wanted.path][1]
        else:
            self.made(self.run(writing), content)

    @rule(name=NAMES, content=CONTENTS)
    def write_wrong(self, name: str, content: bytes) -> None:
        if draft(name).path not in self.files:
            with pytest.raises(ContentDiffers):
                self.run(self.element.write(draft(name, expected_checksum="0" * 64), pieces(content)))

    @rule(name=NAMES)
    def begin(self, name: str) -> None:
        if draft(name).path in self.files:
            with pytest.raises(Conflict):
                self.run(self.element.begin(draft(name)))
            return
        self.run(self.element.begin(draft(name)))
        self.uploads.setdefault(name, b"")

    @rule(name=NAMES, content=CONTENTS, off=st.sampled_from([0, 0, 0, 1]))
    def append(self, name: str, content: bytes, off: int) -> None:
        file_id, has = draft(name).file_id, self.uploads.get(name)
        appending = self.element.append(file_id, offset_bytes=len(has or b"") + off, content=pieces(content))
        if has is None:
            with pytest.raises(FileNotThere):
                self.run(appending)
        elif off:
            with pytest.raises(OffsetDiffers):
                self.run(appending)
        else:
            assert self.run(appending) == len(has) + len(content)
            self.uploads[name] = has + content

    @precondition(lambda self: bool(self.uploads))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.uploads)))
        content, path = self.uploads[name], draft(name).path
        finishing = self.element.finish(draft(name).file_id)
        if path in self.files:
            # Written in the meantime: it is what stands, whatever came here.
            assert self.run(finishing) == self.files[path][1]
        else:
            self.made(self.run(finishing), content)
        del self.uploads[name]

    @rule(name=NAMES)
    def abandon(self, name: str) -> None:
        self.run(self.element.abandon(draft(name).file_id))
        self.uploads.pop(name, None)

    @rule(name=NAMES, tag=st.text(max_size=5), ahead=st.sampled_from([1, 1, 1, 0, 2]))
    def amend(self, name: str, tag: str, ahead: int) -> None:
        path = draft(name).path
        if path not in self.files:
            return
        content, stands = self.files[path]
        wanted = msgspec.structs.replace(stands, revision=stands.revision + ahead, tags=(tag,))
        if ahead == 1:
            assert self.run(self.element.amend(wanted)) == wanted
            self.made(wanted, content)
        else:
            with pytest.raises(StaleRevision):
                self.run(self.element.amend(wanted))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        path = draft(name).path
        self.run(self.element.delete(path))
        self.files.pop(path, None)
        self.unacknowledged.discard(path)

    @rule(name=NAMES, late=st.sampled_from([0, 0, 1]))
    def acknowledge(self, name: str, late: int) -> None:
        path = draft(name).path
        revision = self.files[path][1].revision if path in self.files else 1
        late = min(late, revision - 1)
        self.run(self.element.acknowledge([(draft(name).file_id, revision - late)]))
        if not late:
            self.unacknowledged.discard(path)

    @rule()
    def start_again(self) -> None:
        self.restart()

    @invariant()
    def both_say_the_same(self) -> None:
        self.run(self._same())

    async def _same(self) -> None:
        found = {one.path: one for one in await walked(self.element)}
        assert list(found) == sorted(self.files)
        for path, (content, attributes) in self.files.items():
            assert found[path].attributes == attributes
            assert await content_of(self.element, path) == content
        for name, content in self.uploads.items():
            assert await self.element.offset(draft(name).file_id) == len(content)
        told = [one.path async for one in self.element.unacknowledged()]
        assert len(told) == len(set(told))
        assert set(told) >= self.unacknowledged
        assert set(told) <= set(self.files)


class DiskMachine(ElementMachine):
    """On a disk in memory: a restart may be a power cut."""

    def begin_life(self) -> None:
        self.disk = SimulatedDisk()
        self._start()

    def restart(self) -> None:
        self.run(self.element.close())
        self._start()

    @rule(seed=st.integers(0, 2**32))
    def lose_power(self, seed: int) -> None:
        left = self.disk.after_power_cut(random.Random(seed))
        self.run(self.element.close())
        self.disk = left
        self._start()

    def _start(self) -> None:
        self.element = DiskElement(
            Path("/e"), element_id="se", mode=Mode.EDIT, clock=ManualClock(), syscalls=self.disk, segment_bytes=900
        )
        self.run(self.element.start())


class BucketMachine(ElementMachine):
    """On a real S3 server."""

    seaweed: ClassVar[SeaweedS3]

    def begin_life(self) -> None:
        self.prefix = os.urandom(6).hex()
        self.restart()

    def restart(self) -> None:
        self.element = BucketElement(
            f"s3://{BUCKET}/{self.prefix}",
            element_id="se",
            mode=Mode.EDIT,
            clock=ManualClock(),
            config=self.seaweed.access.config(),
            allow_http=True,
            lease=timedelta(0),
        )
        self.run(self.element.start())


def tried(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_a_disk_element_is_a_dict_whatever_happens() -> None:
    run_state_machine_as_test(DiskMachine, settings=tried(15, 25))  # type: ignore[no-untyped-call]


def test_a_bucket_element_is_a_dict_whatever_happens(seaweed: SeaweedS3) -> None:
    BucketMachine.seaweed = seaweed
    run_state_machine_as_test(BucketMachine, settings=tried(5, 15))  # type: ignore[no-untyped-call]


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_disk_element_is_a_dict_for_long() -> None:
    run_state_machine_as_test(DiskMachine, settings=tried(400, 60))  # type: ignore[no-untyped-call]


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_bucket_element_is_a_dict_for_long(seaweed: SeaweedS3) -> None:
    BucketMachine.seaweed = seaweed
    run_state_machine_as_test(BucketMachine, settings=tried(50, 40))  # type: ignore[no-untyped-call]
