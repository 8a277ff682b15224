"""The requirement document's commands for prompts, with the token added where it leaves it out."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ADMIN_TOKEN, Samovar, start_samovar

CREATE = """curl -s -X POST $URL/v1/prompts \\
  -H "X-Admin-Token: $ADMIN_TOKEN" \\
  -H "content-type: application/json" \\
  -d '{
    "namespace":"default",
    "name":"test_prompt",
    "version":1,
    "lang":"ru",
    "text":"Тестовый промпт",
    "tags":["test"],
    "priority":10,
    "is_active":true
  }'"""
LIST = 'curl -s "$URL/v1/prompts?namespace=default&lang=ru"'
GET = 'curl -s "$URL/v1/prompts/1"'
UPDATE = """curl -s -X PUT "$URL/v1/prompts/1" \\
  -H "X-Admin-Token: $ADMIN_TOKEN" \\
  -d '{"text":"Обновлённый текст"}'"""
SET_DEFAULT = """curl -s -X PUT "$URL/v1/prompts/1/default" \\
  -H "X-Admin-Token: $ADMIN_TOKEN\""""
GET_DEFAULT = 'curl -s "$URL/v1/prompts/default?namespace=default&lang=ru"'
MANY = """for i in {1..25}; do curl -s -o /dev/null -w '%{http_code} ' -X POST $URL/v1/prompts \\
  -H "X-Admin-Token: $ADMIN_TOKEN" -d '{"namespace":"default","name":"many","text":"Ещё один"}'; done"""
IMPORT = """curl -s -X POST $URL/v1/prompts/import -H "X-Admin-Token: $ADMIN_TOKEN" \\
  -d '[{"name":"imported","text":"One"},{"name":"imported too","text":"Two"}]'"""
BACKUP = 'curl -s -X POST "$URL/admin/backup?only=prompts" -H "X-Admin-Token: $ADMIN_TOKEN" -D headers'


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Samovar]:
    """A Samovar that nobody wrote to."""
    running = start_samovar(tmp_path, {})
    yield running
    running.stop()


def typed(registry: Samovar, command: str, folder: Path) -> str:
    """What a command prints."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "URL": registry.url, "ADMIN_TOKEN": ADMIN_TOKEN},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_the_document_s_commands_for_prompts(registry: Samovar, tmp_path: Path) -> None:
    def told(command: str) -> Any:
        return json.loads(typed(registry, command, tmp_path))

    made = told(CREATE)
    fields = ("id", "namespace", "name", "version", "lang", "text", "tags", "priority", "is_active", "is_default")
    assert {name: made[name] for name in fields} == {
        "id": 1,
        "namespace": "default",
        "name": "test_prompt",
        "version": 1,
        "lang": "ru",
        "text": "Тестовый промпт",
        "tags": ["test"],
        "priority": 10,
        "is_active": True,
        "is_default": False,
    }
    assert {"created_at", "updated_at"} <= set(made)
    assert told(LIST)["items"] == [made]
    assert told(GET) == made
    updated = told(UPDATE)
    assert (updated["id"], updated["version"], updated["text"]) == (1, 1, "Обновлённый текст")
    assert told(SET_DEFAULT)["is_default"] is True
    assert told(GET_DEFAULT) == told(GET)

    found = told(BACKUP)
    assert (found["count"], [one["text"] for one in found["prompts"]]) == (1, ["Обновлённый текст"])
    assert "exported_at" in found
    assert 'filename="backup-' in (tmp_path / "headers").read_text()


def test_twenty_five_posts_meet_the_limit_and_an_import_does_not(registry: Samovar, tmp_path: Path) -> None:
    statuses = typed(registry, MANY, tmp_path).split()
    # A place comes back each three seconds: on a busy machine a few more than twenty come through.
    assert statuses[:20] == ["201"] * 20
    assert "429" in statuses[20:]
    for _ in range(30):
        status, refusal, headers = registry.request(
            "POST", "/v1/prompts", {"namespace": "default", "name": "many", "text": "x"}
        )
        if status == 429:
            break
    assert (status, refusal["code"]) == (429, "too_many_writes")
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("20", "0")
    assert int(headers["retry-after"]) >= 1
    for _ in range(3):
        assert sum(json.loads(typed(registry, IMPORT, tmp_path))["counts"].values()) == 2
