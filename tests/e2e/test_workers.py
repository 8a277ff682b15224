"""Several workers behind one port: what a scrape shows is the sum of them, and what one keeps all can read."""

import os
import re
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.apart import until
from tests.e2e.conftest import Samovar, start_samovar
from tests.e2e.several import (
    Begun,
    children,
    connections_to_each,
    element_folders,
    folder_process,
    half_made,
    is_running,
    workers,
)
from tests.e2e.storing import ADMIN, ask, upload

CALLS = 40
WORKERS = 3
COMES_BACK_WITHIN_S = 30
CHAT = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}
LARGE = os.urandom(1024 * 1024) * 8


def several(folder: Path, redis_url: str, **more: str) -> Samovar:
    """Workers that share a Redis; what they keep beside the data is in ``tmp``."""
    (folder / "tmp").mkdir(exist_ok=True)
    settings = {
        "SAMOVAR_WORKERS": str(WORKERS),
        "SAMOVAR_REDIS_URL": redis_url,
        "SAMOVAR_REDIS_PREFIX": f"workers_{uuid.uuid4().hex[:10]}",
        "TMPDIR": str(folder / "tmp"),
    }
    return start_samovar(folder, settings | more)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Samovar]:
    """Three workers. The last test that has them ends them."""
    running = several(tmp_path_factory.mktemp("team"), redis_server)
    yield running
    running.stop()


def _value(samovar: Samovar, series: str) -> float:
    _, text, _ = samovar.request("GET", "/metrics")
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def _becomes(samovar: Samovar, series: str, value: float) -> bool:
    """Whether it is so soon: a worker hands its counts on every few seconds."""
    deadline = time.monotonic() + 60
    while _value(samovar, series) != value and time.monotonic() < deadline:
        time.sleep(0.2)
    return _value(samovar, series) == value


def test_a_scrape_sums_the_workers_whoever_answers_it(team: Samovar) -> None:
    assert _becomes(team, "samovar_workers", WORKERS)
    for _ in range(CALLS):
        status, answer, _ = team.request(
            "POST", "/v1/chat/completions", CHAT, {"Authorization": f"Bearer {team.key}", "Connection": "close"}
        )
        assert status == 200, answer
    series = 'http_requests_total{method="POST",route="/v1/chat/completions",status="200"}'
    assert _becomes(team, series, CALLS)
    model = 'gen_ai_operation_name="chat",gen_ai_provider_name="sandbox",gen_ai_request_model="sandbox/echo"'
    assert _becomes(team, f'gen_ai_client_operation_duration_seconds_count{{{model},outcome="ok"}}', CALLS)
    assert _value(team, "process_resident_memory_bytes") > 80e6
    # Scraped again and again, by one worker and by the other, it stays so.
    assert {_value(team, series) for _ in range(10)} == {CALLS}


def test_a_file_that_one_worker_took_every_worker_reads_and_changes(team: Samovar) -> None:
    with connections_to_each(team, WORKERS) as by_worker:
        made = {}
        for pid, connection in by_worker.items():
            status, said = connection.upload(f"{pid}.txt", str(pid).encode())
            assert status == 201, said
            made[pid] = said["file_id"]
        for connection in by_worker.values():
            for pid, file_id in made.items():
                assert connection.ask("GET", f"/api/files/{file_id}/content") == (200, str(pid).encode())
        for connection, file_id in zip(by_worker.values(), reversed(made.values()), strict=True):
            assert connection.ask("DELETE", f"/api/files/{file_id}")[0] == 204
        for connection in by_worker.values():
            assert connection.ask("GET", f"/api/files/{next(iter(made.values()))}/content")[0] == 404


def test_uploads_at_once_spread_over_the_workers_and_every_file_is_whole(team: Samovar) -> None:
    contents = {f"at-once-{number}.bin": os.urandom(40_000 + number) for number in range(45)}
    with connections_to_each(team, WORKERS) as by_worker, ThreadPoolExecutor(WORKERS) as threads:
        lanes = [[*contents][start::WORKERS] for start in range(WORKERS)]
        answers = threads.map(
            lambda lane, connection: [(name, *connection.upload(name, contents[name])) for name in lane],
            lanes,
            by_worker.values(),
        )
        made = {name: (status, said) for lane in answers for name, status, said in lane}
    assert {status for status, _ in made.values()} == {201}
    for name, (_, said) in made.items():
        assert ask(team, "GET", f"/api/files/{said['file_id']}/content", **ADMIN).body == contents[name]
    for said in (said for _, said in made.values()):
        found = [path for root in element_folders(team) for path in root.glob(f"2*/**/*{said['file_id']}*")]
        assert len(found) == 2
    assert not half_made(team)


def test_a_folder_that_is_registered_while_they_run_serves_at_once(team: Samovar, tmp_path: Path) -> None:
    new = {"id": "added", "url": (tmp_path / "added").as_uri(), "mode": "edit", "priority": 1}
    status, said, _ = team.request("POST", "/api/storage-elements", new)
    assert (status, said["is_away"], said["url"]) == (201, False, new["url"])
    status, said, _ = team.request("POST", "/api/storage-elements", {**new, "id": "wrong", "url": "file://host/x"})
    assert (status, said["code"]) == (422, "bad_element"), said
    with connections_to_each(team, WORKERS) as by_worker:
        # The others hear of it a moment later.
        for connection in by_worker.values():
            until(lambda to=connection: to.ask("GET", "/api/storage-elements/added")[0] == 200)  # type: ignore[misc]
        for connection in by_worker.values():
            status, said = connection.upload("there.txt", b"there")
            assert (status, said["storage_element_id"]) == (201, "added"), said
            for other in by_worker.values():
                assert other.ask("GET", f"/api/files/{said['file_id']}/content") == (200, b"there")
        # For the tests that follow.
        assert team.request("PATCH", "/api/storage-elements/added", {"state": "draining"})[0] == 200
        for connection in by_worker.values():
            until(lambda to=connection: b'"draining"' in to.ask("GET", "/api/storage-elements/added")[1])  # type: ignore[misc]


def test_a_storage_process_that_is_killed_in_mid_upload_leaves_nothing_half_and_comes_back(team: Samovar) -> None:
    before = folder_process(team)
    kept = upload(team, b"kept", "kept.txt", **ADMIN).json["file_id"]
    with Begun(team, LARGE, sent_bytes=len(LARGE) // 2) as begun:
        until(lambda: any(path.stat().st_size for path in half_made(team)))
        os.kill(before, signal.SIGKILL)
        status, said = begun.answer()
    assert (status, said["code"]) == (503, "storage_unavailable"), said
    # Asked at once: who comes while it is started anew waits for it, or is told to come again.
    deadline = time.monotonic() + COMES_BACK_WITHIN_S
    while (again := upload(team, LARGE, "again.bin", **ADMIN)).status == 503 and time.monotonic() < deadline:
        time.sleep(int(again.headers.get("retry-after", "1")))
    assert again.status == 201, again.body
    assert folder_process(team) != before
    assert len(workers(team)) == WORKERS
    assert not half_made(team)
    assert ask(team, "GET", f"/api/files/{again.json['file_id']}/content", **ADMIN).body == LARGE
    assert ask(team, "GET", f"/api/files/{kept}/content", **ADMIN).body == b"kept"
    stored = ask(team, "GET", "/api/files?limit=100", **ADMIN).json["items"]
    assert "begun.bin" not in {one["filename"] for one in stored}


def test_a_worker_that_is_gone_takes_its_gauges_with_it(team: Samovar) -> None:
    before = workers(team)
    assert len(before) == WORKERS
    os.kill(before[0], signal.SIGKILL)
    # The supervisor starts another in its place, and the dead one is counted no more.
    until(lambda: before[0] not in workers(team) and len(workers(team)) == WORKERS, within_s=30)
    assert _becomes(team, "samovar_workers", WORKERS)


def test_a_worker_that_answers_late_is_let_be_and_keeps_no_other_from_being_started_anew(team: Samovar) -> None:
    late, dead, *_ = workers(team)
    os.kill(late, signal.SIGSTOP)
    try:
        os.kill(dead, signal.SIGKILL)
        until(lambda: dead not in workers(team) and len(workers(team)) == WORKERS, within_s=60)
        # Whoever waited for it would have killed it before.
        assert late in workers(team)
    finally:
        os.kill(late, signal.SIGCONT)
    assert _becomes(team, "samovar_workers", WORKERS)


def test_an_upload_under_way_when_all_are_told_to_stop_is_finished_and_one_worker_goes_on_with_it(
    team: Samovar,
) -> None:
    assert _counts_kept(team)
    everybody = [team.process.pid, *children(team)]
    with Begun(team, LARGE, sent_bytes=len(LARGE) // 2) as begun:
        until(lambda: any(path.stat().st_size for path in half_made(team)))
        # As a service manager tells all processes of a service, and a terminal those in front.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(folder_process(team), number)
        for pid in everybody:
            os.kill(pid, signal.SIGTERM)
        until(lambda: len(workers(team)) < WORKERS)
        begun.go_on()
        status, said = begun.answer()
    assert (status, said["size_bytes"]) == (201, len(LARGE)), said
    assert team.process.wait(30) == 0
    until(lambda: not any(map(is_running, everybody)))
    # What the operator sees of elements is the same with one worker, and so are the folders.
    alone = start_samovar(team.data_dir.parent, {})
    try:
        assert not children(alone)
        assert ask(alone, "GET", f"/api/files/{said['file_id']}/content", **ADMIN).body == LARGE
        elements = {one["id"]: one for one in ask(alone, "GET", "/api/storage-elements", **ADMIN).json["items"]}
        for name in ("edit", "rw"):
            assert elements[name]["url"] == (team.data_dir / "files" / name).as_uri()
            assert elements[name]["revision"] == 1
    finally:
        alone.stop()


def test_what_the_workers_counted_is_cleared_away_with_them(team: Samovar) -> None:
    team.stop()
    assert not _counts_kept(team)


def _counts_kept(team: Samovar) -> list[Path]:
    return [*(team.data_dir.parent / "tmp").glob("samovar-metrics-*/*.db")]


def test_all_end_when_the_supervisor_is_killed_and_what_is_under_way_first(tmp_path: Path, redis_server: str) -> None:
    running = several(tmp_path, redis_server, SAMOVAR_WORKERS="2")
    everybody = children(running)
    assert {folder_process(running), *workers(running)} == {*everybody}
    try:
        with Begun(running, LARGE, sent_bytes=len(LARGE) // 2) as begun:
            until(lambda: any(path.stat().st_size for path in half_made(running)))
            running.process.kill()
            running.process.wait(10)
            # The one that has nothing under way has gone; nobody listens any more.
            until(lambda: sum(map(is_running, everybody)) == 2)
            begun.go_on()
            status, said = begun.answer()
        assert (status, said["size_bytes"]) == (201, len(LARGE)), said
        until(lambda: not any(map(is_running, everybody)))
    finally:
        for pid in filter(is_running, everybody):
            os.kill(pid, signal.SIGKILL)
