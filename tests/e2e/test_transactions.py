"""Uploads whose processes are killed between any two steps: admin, ingester, query, storage-element, with PostgreSQL and Redis.

A gate stands before the storage-element, so that an upload can be held at a step of it without anything of ours being changed.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from tests.e2e.apart import Apart, installation, kill, port_of, until
from tests.e2e.conftest import Samovar
from tests.e2e.gates import Gate, Held
from tests.support.servers import from_postgres

LEASE_S = 3
SOON_S = 60.0
SETTINGS = {"SAMOVAR_FILE_TRANSACTION_LEASE_S": str(LEASE_S), "SAMOVAR_FILE_TRANSACTION_ROUND_S": "0.2"}
STEPS = {
    "before the element has anything": ("/write ", Held.REQUEST),
    "in the middle of the content": ("/write ", Held.CONTENT),
    "when the attributes stand": ("/write ", Held.ANSWER),
    "when the row stands": ("/acknowledge ", Held.REQUEST),
}
BEHIND = ("when the attributes stand", "when the row stands")


CASES = (
    *(("ingester", at) for at in STEPS),
    ("storage", "in the middle of the content"),
    ("storage", "when the attributes stand"),
    ("admin", "when the attributes stand"),
)
MORE_CASES = tuple((victim, at) for victim in ("storage", "admin") for at in STEPS if (victim, at) not in CASES)


class Sending:
    """An upload by a client that waits for its answer."""

    def __init__(self, ingester: Samovar, content: bytes) -> None:
        self.content = content
        self.status = 0
        self.said: Any = None
        self._ingester = ingester
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        try:
            sent = {"X-Filename": "a.bin", "Content-Type": "application/octet-stream"}
            self.status, self.said, _ = self._ingester.request("POST", "/api/files/upload", self.content, sent)
        except (URLError, OSError):
            self.status = -1

    def ended(self) -> int:
        """How it was answered; -1 where nobody did."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.status


@dataclass
class Store:
    """Four processes, and what of them was killed is started again."""

    apart: Apart
    admin: Samovar
    storage: Samovar
    gate: Gate
    ingester: Samovar
    query: Samovar
    uploads: list[Sending] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.apart.folder / "se-1"

    def kill(self, role: str) -> Callable[[], None]:
        """With -9; what it gives back starts it again."""
        running: Samovar = getattr(self, role)
        kill(running)
        return {"admin": self._admin, "ingester": self._ingester, "storage": self._storage}[role]

    def _admin(self) -> None:
        self.admin = self.apart.start("admin", SAMOVAR_PORT=port_of(self.admin), **SETTINGS)

    def _ingester(self) -> None:
        self.ingester = self.apart.start("ingester", **SETTINGS)

    def _storage(self) -> None:
        port = port_of(self.storage)
        self.storage = self.apart.storage(self.admin, "se-1", "edit", SAMOVAR_PORT=port, **IDLE)

    @contextmanager
    def held(self, at: str) -> Iterator[Sending]:
        """An upload that does not come further than there while the block lasts."""
        self.taken(b"tea")
        self.earlier = [one["id"] for one in self.transactions()]
        self.hold(*STEPS[at])
        sending = Sending(self.ingester, os.urandom(1024) * 3_000)
        self.uploads.append(sending)
        try:
            self.gate.reached()
            yield sending
        finally:
            self.gate.open()

    def hold(self, word: str, what: Held) -> None:
        """At the gate, and only for the upload that is held: others may be acknowledged long after they are answered, and by
        several."""
        self.gate.hold(word, what, but=self.earlier)

    def taken(self, content: bytes) -> dict[str, Any]:
        """A file that was uploaded, though the ingester may not know yet that the element is back: it believes for two seconds
        that one is away, and longer where it rests."""
        sent: list[Sending] = []

        def is_taken() -> bool:
            sent.append(Sending(self.ingester, content))
            status = sent[-1].ended()
            assert status == 201 or sent[-1].said["code"] == "no_storage_element", sent[-1].said
            return status == 201

        until(is_taken)
        said: dict[str, Any] = sent[-1].said
        return said

    def transactions(self, state: str = "") -> list[dict[str, Any]]:
        status, said, _ = self.admin.request("GET", f"/api/transactions?limit=100{state and f'&state={state}'}")
        assert status == 200, said
        items: list[dict[str, Any]] = said["items"]
        return items

    def is_over(self) -> bool:
        """Whether nothing is open."""
        return not self.transactions("open") and not self.transactions("cancelling")

    def check(self) -> None:
        """All of it is there whole, or not at all, and nobody holds anything."""
        until(self.is_over, within_s=SOON_S)
        one = self.transactions()[0]
        sending = self.uploads[-1]
        status = sending.ended()
        assert one["state"] in (("done",) if status == 201 else ("done", "rolled_back")), one
        if status == 201:
            assert sending.said["file_id"] == one["id"]
        until(lambda: self._is_whole(one, sending.content), within_s=SOON_S)
        until(lambda: self._is_settled(self.transactions("done")), within_s=SOON_S)

    def _is_whole(self, one: dict[str, Any], content: bytes) -> bool:
        status, _, headers = self.query.request("HEAD", f"/api/files/{one['id']}/content")
        standing = sorted(path.name.endswith(".attr.json") for path in self.folder.rglob(f"*{one['id']}*"))
        if one["state"] == "rolled_back":
            return status == 404 and standing == []
        return (
            status == 200
            and headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
            and standing == [False, True]
        )

    def _is_settled(self, done: list[dict[str, Any]]) -> bool:
        [(files, held_files, held_bytes)] = self.rows("SELECT files, held_files, held_bytes FROM file_owners")
        [(holds,)] = self.rows("SELECT count(*) FROM file_holds")
        left = [path for path in self.folder.rglob("*.part") if path.is_file()]
        return (files, held_files, held_bytes, holds, left) == (len(done), 0, 0, 0, [])

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        return from_postgres(self.apart.environment["SAMOVAR_DATABASE_URL"], question)


IDLE = {"SAMOVAR_FILE_IDLE_S": "2"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, redis_server: str, empty_postgres_url: str) -> Iterator[Store]:
    """Ready, and every owner's room is bounded, so that uploads hold some."""
    with installation(tmp_path_factory.mktemp("transactions")) as apart:
        apart.environment["SAMOVAR_FILE_OWNER_MAX_FILES"] = "1000"
        admin = apart.start("admin", **SETTINGS)
        storage = apart.storage(admin, "se-1", "edit", **IDLE)
        gate = Gate(int(port_of(storage)))
        new = {"id": "se-1", "url": gate.url, "mode": "edit"}
        status, said, _ = admin.request("POST", "/api/storage-elements", new)
        assert status == 201, said
        ingester, query = (apart.start(role, **SETTINGS) for role in ("ingester", "query"))
        try:
            yield Store(apart, admin, storage, gate, ingester, query)
        finally:
            gate.close()


@pytest.mark.parametrize(
    ("victim", "at"), [*CASES, *[pytest.param(*case, marks=pytest.mark.soak) for case in MORE_CASES]]
)
def test_whoever_is_killed_at_a_step_the_upload_is_whole_or_nothing(store: Store, victim: str, at: str) -> None:
    with store.held(at):
        if at in BEHIND:
            standing = store.transactions()[0]
            until(lambda: len([*store.folder.rglob(f"*{standing['id']}*.attr.json")]) == 1)
        start_again = store.kill(victim)
    start_again()
    store.check()
    if victim == "ingester":
        assert store.transactions()[0]["state"] == ("done" if at in BEHIND else "rolled_back")


@pytest.mark.parametrize("word", ["/abandon ", "/acknowledge ", pytest.param("/attributes ", marks=pytest.mark.soak)])
def test_an_admin_that_is_killed_in_the_middle_of_ending_an_upload_leaves_it_to_the_next(
    store: Store, word: str
) -> None:
    with store.held("when the attributes stand" if word == "/acknowledge " else "in the middle of the content"):
        start_ingester = store.kill("ingester")
        store.gate.open()
        store.hold(word, Held.REQUEST)
        store.gate.reached()
        start_admin = store.kill("admin")
    start_admin()
    start_ingester()
    store.check()
    assert word == "/acknowledge " or store.transactions()[0]["resumes"] >= 2


def test_what_is_cancelled_while_it_is_under_way_stops_in_another_process(store: Store) -> None:
    with store.held("in the middle of the content") as sending:
        one = store.transactions("open")[0]
        status, said, _ = store.admin.request("POST", f"/api/transactions/{one['id']}/cancel")
        assert (status, said["state"] in ("cancelling", "cancelled")) == (200, True), said
        assert sending.ended() == 409
        assert sending.said["code"] == "transaction_cancelled"
    until(lambda: store.admin.request("GET", f"/api/transactions/{one['id']}")[1]["state"] == "cancelled")
    until(lambda: not [*store.folder.rglob(f"*{one['id']}*")])


def test_an_upload_is_told_step_by_step_and_done_is_taken_back(store: Store) -> None:
    file_id = store.taken(b"tea")["file_id"]
    path = f"/api/transactions/{file_id}"
    until(lambda: {step["status"] for step in store.admin.request("GET", path)[1]["steps"]} == {"done"})
    assert store.query.request("GET", path)[0] == 404
    assert store.admin.request("POST", f"{path}/cancel")[1]["state"] == "cancelled"
    assert store.query.request("GET", f"/api/files/{file_id}")[0] == 404


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_news_that_a_process_took_with_it_goes_out_when_its_lease_is_over(store: Store) -> None:
    with store.held("when the row stands"):
        start_again = store.kill("ingester")
    start_again()
    store.check()
    until(lambda: store.rows("SELECT count(*) FROM file_outbox") == [(0,)], within_s=90)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_deletion_of_what_was_seen_that_a_process_took_with_it_is_brought_to_its_end(store: Store) -> None:
    file_id = store.taken(b"tea")["file_id"]
    path = f"/api/files/{file_id}"
    store.gate.hold("/delete ", Held.REQUEST)
    deleting = threading.Thread(target=_left_alone, args=(store.ingester, path), daemon=True)
    deleting.start()
    store.gate.reached()
    start_again = store.kill("ingester")
    store.gate.open()
    start_again()
    deleting.join(30)
    assert store.query.request("GET", path)[0] == 200
    until(lambda: store.query.request("GET", path)[0] == 404, within_s=120)
    until(lambda: not [*store.folder.rglob(f"*{file_id}*")])


def _left_alone(ingester: Samovar, path: str) -> None:
    with suppress(URLError, OSError):
        ingester.request("DELETE", path, None, {"If-Match": '"1"'})
