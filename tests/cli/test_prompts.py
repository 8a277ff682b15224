"""Prompts on the command line: files in and out, and a folder that is kept in git."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from anyio.from_thread import start_blocking_portal

from samovar.app.telemetry import logs
from tests.app.conftest import ADMIN, ADMIN_TOKEN
from tests.cli.conftest import Terminal
from tests.support.installations import running, say, settings_at
from tests.support.typed import Done, own_logging

Prompts = Callable[..., Done]

HELLO = {
    "name": "greet",
    "lang": "ru",
    "text": "Привет, {{name}}!\r\n--- 😀",
    "labels": ["production"],
    "is_default": True,
}


class Registry(NamedTuple):
    """A server with prompts."""

    url: str
    key: str
    ask: Callable[[str, str], int]
    """The status that the administrator's request is answered with."""


@pytest.fixture
def registry(tmp_path: Path, sqlite_template: Path) -> Iterator[Registry]:
    """A server whose registry is empty. It runs in this process, as a start for each test would take longer than the test."""
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copyfile(sqlite_template, folder / "samovar.db")
    settings = settings_at(folder, "", prompt_writes="2/minute")
    with own_logging(), start_blocking_portal() as portal:
        # Not to where the commands print.
        logs.configure(json=True, level="error", stream=io.StringIO())
        with portal.wrap_async_context_manager(running(settings)) as served:
            made = portal.call(say, served, "POST", "/api/keys", {"name": "tests"})

            def ask(method: str, path: str) -> int:
                return portal.call(partial(served.ask, method, path, headers=ADMIN)).status

            yield Registry(f"http://127.0.0.1:{served.port}", made["key"], ask)


@pytest.fixture
def prompts(registry: Registry, terminal: Terminal) -> Prompts:
    """``samovar prompts`` against that server."""
    settings = {"SAMOVAR_URL": registry.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    return lambda *words, given="": terminal.type("prompts", *words, settings=settings, given=given)


def file_of(terminal: Terminal, name: str = "greet", lang: str = "ru") -> Path:
    """A prompt's file in the folder ``p``."""
    return terminal.folder / "p" / "default" / f"{name}.{lang}.md"


def change(file: Path, old: str, new: str) -> None:
    """Edit, byte for byte."""
    content = file.read_bytes()
    assert old.encode() in content
    file.write_bytes(content.replace(old.encode(), new.encode()))


def test_prompts_go_in_and_out_of_this_installation_without_a_server(terminal: Terminal) -> None:
    (terminal.folder / "in.json").write_text(json.dumps([HELLO, {"name": "describe", "text": "Describe it."}]))
    tried = terminal.type("prompts", "import", "in.json", "--dry-run", "--json").json()
    assert (tried["dry_run"], tried["counts"]["created"]) == (True, 2)
    assert terminal.type("prompts", "list", "--json").json() == []
    assert "2 created" in terminal.type("prompts", "import", "in.json").err
    shown = terminal.type("prompts", "list", "--label", "production")
    assert "greet" in shown.out
    assert "describe" not in shown.out
    assert terminal.type("prompts", "get", "describe").out == "Describe it.\n"
    whole = terminal.type("prompts", "export", "--format", "yaml")
    assert "text: Describe it." in whole.out
    again = terminal.type("prompts", "import", "-", "--format", "yaml", "--json", given=whole.out).json()
    assert again["counts"]["unchanged"] == 2
    terminal.type("prompts", "export", "-o", "out.zip")
    with zipfile.ZipFile(io.BytesIO((terminal.folder / "out.zip").read_bytes())) as archive:
        assert archive.namelist() == ["default/describe.en.md", "default/greet.ru.md"]


def test_what_cannot_be_taken_is_named_and_what_is_not_there_is_said(terminal: Terminal) -> None:
    (terminal.folder / "in.yaml").write_text("- {name: good, text: x}\n- {name: bad, text: ''}\n")
    refused = terminal.type("prompts", "import", "in.yaml")
    assert refused.status == 1
    assert "prompts[1].text: default/bad.en: must be 1 to 10000" in refused.err
    missing = terminal.type("prompts", "get", "good")
    assert (missing.status, "no prompt default/good.en" in missing.err) == (1, True)
    assert terminal.type("prompts", "diff", "nowhere").status == 1


def test_a_folder_is_pulled_edited_compared_and_pushed(prompts: Prompts, terminal: Terminal) -> None:
    prompts("import", "-", given=json.dumps([HELLO, *({"name": f"p{n}", "text": "x"} for n in range(30))]))
    assert prompts("pull", "p").status == 0
    file = file_of(terminal)
    assert file.read_bytes().endswith("---\nПривет, {{name}}!\r\n--- 😀\n".encode())
    assert (terminal.folder / "p" / ".gitattributes").read_text() == "*.md -text\n"
    same = prompts("diff", "p")
    assert (same.status, same.out) == (0, "")

    change(file, "Привет", "Здравствуйте")
    for number in range(25):
        change(file_of(terminal, f"p{number}", "en"), "priority: 0", "priority: 7")
    different = prompts("diff", "p")
    assert different.status == 1
    assert "-Привет, {{name}}!\n+Здравствуйте, {{name}}!" in different.out
    tried = prompts("push", "p", "--dry-run", "--json").json()
    assert {action: count for action, count in tried["counts"].items() if count} == {"new_version": 1, "changed": 25}
    assert prompts("diff", "p").out == different.out

    # 26 writes at once, where two a minute are taken one by one: pushing does not count.
    assert "1 new version, 25 changed" in prompts("push", "p").err
    assert "nothing" in prompts("push", "p").err
    assert prompts("diff", "p").status == 0
    assert "version: 2\n" in file.read_text()
    found = prompts("get", "greet", "--lang", "ru", "--label", "production", "--json").json()
    assert (found["version"], found["is_default"]) == (2, True)
    assert prompts("get", "greet", "--lang", "ru", "--version", "1", "--json").json()["labels"] == []


def test_what_the_registry_changed_since_is_neither_pushed_nor_pulled_over(
    prompts: Prompts, terminal: Terminal
) -> None:
    prompts("import", "-", given=json.dumps([HELLO, {"name": "calm", "text": "x"}]))
    prompts("pull", "p")
    prompts("import", "-", given=json.dumps([{"name": "greet", "lang": "ru", "text": "somebody else's"}]))
    change(file_of(terminal), "Привет", "Mine")
    change(file_of(terminal, "calm", "en"), "\nx\n", "\ny\n")

    refused = prompts("push", "p")
    assert (refused.status, "default/greet.ru.md: conflict" in refused.err) == (1, True)
    assert prompts("get", "calm").out == "x\n"
    refused = prompts("pull", "p")
    assert (refused.status, "default/greet.ru.md" in refused.err) == (1, True)
    assert "Mine" in file_of(terminal).read_text()

    assert prompts("push", "p", "--force").status == 0
    assert prompts("get", "greet", "--lang", "ru", "--json").json()["version"] == 3
    assert prompts("get", "calm").out == "y\n"
    assert prompts("diff", "p").status == 0


def test_pulling_brings_what_others_did_and_keeps_what_was_done_here(
    prompts: Prompts, registry: Registry, terminal: Terminal
) -> None:
    prompts("import", "-", given=json.dumps([HELLO, *({"name": name, "text": "x"} for name in ("calm", "gone"))]))
    prompts("pull", "p")
    change(file_of(terminal, "calm", "en"), "\nx\n", "\nmine\n")
    made = terminal.folder / "p" / "neu" / "by hand.en.md"
    made.parent.mkdir()
    made.write_text("---\ntags: [new]\n---\nBy hand\n")
    prompts("import", "-", given=json.dumps([{"name": "greet", "lang": "ru", "text": "theirs", "labels": ["staging"]}]))
    (gone,) = [one["id"] for one in prompts("list", "--json").json() if one["name"] == "gone"]
    assert registry.ask("DELETE", f"/v1/prompts/{gone}") == 204

    done = {one["path"]: one["what"] for one in prompts("pull", "p", "--json").json()}
    assert done == {
        "default/calm.en.md": "kept",
        "default/gone.en.md": "removed",
        "default/greet.ru.md": "written",
        # Not the newest any more, and production still points to it.
        "default/greet.ru@1.md": "new",
        "neu/by hand.en.md": "kept",
    }
    assert file_of(terminal).read_text().endswith("---\ntheirs\n")
    older = terminal.folder / "p" / "default" / "greet.ru@1.md"
    change(older, "Привет", "Rewritten")
    refused = prompts("push", "p")
    assert (refused.status, "an older version keeps its text" in refused.err) == (1, True)
    change(older, "Rewritten", "Привет")
    assert "1 created, 1 new version" in prompts("push", "p").err
    assert prompts("get", "by hand", "-n", "neu", "--json").json()["tags"] == ["new"]


def test_a_key_that_may_read_pulls_and_does_not_push(registry: Registry, terminal: Terminal) -> None:
    settings = {"SAMOVAR_URL": registry.url, "SAMOVAR_KEY": registry.key}
    assert terminal.type("prompts", "pull", "p", settings=settings).status == 0
    (terminal.folder / "p" / "default").mkdir()
    file_of(terminal).write_text("---\n---\nHi\n")
    refused = terminal.type("prompts", "push", "p", settings=settings)
    assert (refused.status, "prompts:write" in refused.err) == (1, True)
    (terminal.folder / "p" / "default" / "link.en.md").symlink_to("/etc/hostname")
    refused = terminal.type("prompts", "push", "p", settings=settings)
    assert (refused.status, "symbolic link" in refused.err) == (1, True)
