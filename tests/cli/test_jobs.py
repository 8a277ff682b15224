"""Jobs, administered by command."""

import time

from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar


def test_a_cron_job_is_listed_run_now_and_seen_in_the_list(server: Samovar, terminal: Terminal) -> None:
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    cron = terminal.type("jobs", "cron", "--json", settings=far).json()
    backup = next(one for one in cron if one["name"] == "backup")
    assert backup["schedule"] == "0 3 * * *"
    assert backup["next_at"].startswith("20")
    made = terminal.type("jobs", "run", "backup", "--json", settings=far).json()
    assert (made["kind"], made["cron"], made["scheduled_at"]) == ("backup", "backup", None)
    deadline = time.monotonic() + 30
    while terminal.type("jobs", "show", made["id"], settings=far).json()["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
    shown = terminal.type("jobs", "show", made["id"], settings=far).json()
    assert (shown["state"], shown["attempt"], shown["error"]) == ("done", 1, None)
    listed = terminal.type("jobs", "list", "--state", "done", settings=far)
    assert made["id"] in listed.out
    refused = terminal.type("jobs", "replay", made["id"], settings=far)
    assert refused.status == 1
    assert "only one that is dead or cancelled can be replayed" in " ".join(refused.err.split())


def test_without_a_server_a_job_is_queued_for_the_next_one_and_can_be_cancelled_and_replayed(
    terminal: Terminal,
) -> None:
    made = terminal.begun().type("jobs", "run", "backup", "--json").json()
    assert made["state"] == "queued"
    again = terminal.type("jobs", "run", "backup")
    assert again.status == 1
    assert made["id"] in again.err
    assert terminal.type("jobs", "cancel", made["id"], "--json").json()["state"] == "cancelled"
    assert terminal.type("jobs", "replay", made["id"], "--json").json()["state"] == "queued"
    assert [job["id"] for job in terminal.type("jobs", "list", "--json").json()] == [made["id"]]


def test_what_is_not_there_is_said_in_words(server: Samovar, terminal: Terminal) -> None:
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    for words in (("show", "job_0"), ("cancel", "job_0"), ("replay", "job_0"), ("run", "nobody")):
        done = terminal.type("jobs", *words, settings=far)
        assert done.status == 1, words
        assert "no such" in done.err, words
    wrong = terminal.type("jobs", "list", "--state", "asleep", settings=far)
    assert wrong.status == 1
    assert "state" in wrong.err
