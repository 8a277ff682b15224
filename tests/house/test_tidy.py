"""Every rule of tools/tidy.py holds on the tree, catches the breach planted for it, and leaves the rightful twin alone."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SRC = "src/samovar"
STORE = f"{SRC}/domains/tea/store.py"
SERVICE = f"{SRC}/domains/tea/service.py"
DEFINED = '"""The tea."""\n'


@dataclass(frozen=True)
class Twins:
    """One file as the rule forbids it and as it allows it. Where ``rightful_path`` is given, it is the place that differs."""

    rule: str
    path: str
    wrong: str
    right: str
    rightful_path: str = ""

    def __str__(self) -> str:
        first = next((line for line in self.wrong.splitlines() if line), "empty")
        return f"{self.rule}-{self.path}-{first[:40]}"


def long_function(lines: int) -> str:
    """A function of that many lines."""
    return "def _brew():\n" + "    pass\n" * (lines - 1)


def handler(caught: str, body: str = "pass") -> str:
    """A function that catches something."""
    return f"def _brew():\n    try:\n        pass\n    {caught}\n        {body}\n"


TWINS = [
    Twins("domain-anatomy", f"{SRC}/domains/tea/recipes.py", "", "", STORE),
    Twins("domain-anatomy", f"{SRC}/domains/tea/recipes/green.py", "", "", f"{SRC}/domains/tea/store/green.py"),
    Twins("domain-anatomy", f"{SRC}/domains/tea.py", "", "", f"{SRC}/domains/tea/model.py"),
    Twins("file-length", f"{SRC}/kernel/tea.py", "x = 1\n" * 401, "x = 1\n" * 400),
    Twins("function-length", f"{SRC}/kernel/tea.py", long_function(61), long_function(60)),
    Twins("vague-name", f"{SRC}/kernel/tea_utils.py", "", "", f"{SRC}/kernel/tea_leaves.py"),
    Twins("vague-name", "tests/helpers/tea.py", "", "", "tests/support/tea.py"),
    Twins("vague-name", f"{SRC}/kernel/tea.py", "class _TeaManager: ...\n", "class _TeaMaker: ...\n"),
    Twins(
        "package-docstring",
        f"{SRC}/kernel/__init__.py",
        '"""Tea.' + "\n." * 10 + '"""\n',
        '"""Tea.' + "\n." * 9 + '"""\n',
    ),
    Twins("package-docstring", f"{SRC}/domains/tea/__init__.py", "", DEFINED),
    Twins(
        "public-docstring", f"{SRC}/kernel/tea.py", "def brew(): ...\n", 'def brew():\n    """Hot water on leaves."""\n'
    ),
    Twins(
        "public-docstring",
        f"{SRC}/kernel/tea.py",
        "class Tea:\n    def pour(self): ...\n",
        "class Tea:\n    cups: int\n",
    ),
    Twins("injected", SERVICE, "from datetime import datetime as dt\n_x = dt.now()\n", "_x = clock.now()\n"),
    Twins("injected", SERVICE, "import time\n_x = time.monotonic()\n", "_x = clock.monotonic()\n"),
    Twins("injected", SERVICE, "from uuid import uuid4\n_x = uuid4()\n", 'from uuid import UUID\n_x = UUID("0")\n'),
    Twins("injected", SERVICE, "import random\n_x = random.random()\n", "import random\n_x: random.Random\n"),
    Twins(
        "injected",
        SERVICE,
        "import secrets\n_x = secrets.token_hex()\n",
        "import secrets\n_x = secrets.compare_digest\n",
    ),
    Twins(
        "injected",
        SERVICE,
        "import os\n_x = os.urandom(4)\n",
        "import os\n_x = os.urandom(4)\n",
        f"{SRC}/adapters/a/b.py",
    ),
    Twins(
        "injected",
        SERVICE,
        "import time\n_x = time.time()\n",
        "import time\n_x = time.time()\n",
        f"{SRC}/adapters/system/a.py",
    ),
    Twins(
        "environment",
        SERVICE,
        'import os\n_x = os.environ["TEA"]\n',
        "import os\n_x = os.environ\n",
        f"{SRC}/app/settings.py",
    ),
    Twins("environment", SERVICE, "from os import getenv\n_x = getenv('TEA')\n", "_x = settings.tea\n"),
    Twins("environment", SERVICE, "import os\n_x = os.environ.get(y)\n", "import os\nos.environ[y] = z\n"),
    Twins("owned-task", SERVICE, "import asyncio\n_x = asyncio.create_task(y)\n", "_x = group.create_task(y)\n"),
    Twins(
        "owned-task",
        SERVICE,
        "def _f(loop):\n    loop.create_task(y)\n",
        "def _f(s, loop):\n    s.t = loop.create_task(y)\n",
    ),
    Twins("sql-in-store", SERVICE, "from sqlalchemy import select\n", "from sqlalchemy import select\n", STORE),
    Twins("store-takes-tx", STORE, 'async def get(key):\n    """."""\n', 'async def get(tx, key):\n    """."""\n'),
    Twins(
        "store-takes-tx",
        SERVICE,
        "async def _f(tx):\n    await tx.commit()\n",
        "async def _f(db):\n    db.transaction()\n",
    ),
    Twins(
        "limited-list",
        STORE,
        'async def list_teas(tx):\n    """."""\n    return select(1)\n',
        'async def list_teas(tx):\n    """."""\n    return select(1).limit(50)\n',
    ),
    Twins(
        "broad-except", SERVICE, handler("except Exception:"), handler("except Exception:  # edge: the loop goes on")
    ),
    Twins("broad-except", SERVICE, handler("except:"), handler("except ValueError:")),
    Twins("broad-except", SERVICE, handler("except BaseException:"), handler("except BaseException:", "raise")),
    Twins("module-state", SERVICE, "_cups = {}\n", "_CUPS: Final = {}\n"),
    Twins("module-state", SERVICE, "def _f():\n    global cups\n", "def _f():\n    cups = 1\n"),
    Twins("module-state", SERVICE, "start()\n", 'if __name__ == "__main__":\n    start()\n'),
    Twins("http-exception", SERVICE, "from fastapi import HTTPException\n", "from .errors import TeaSpent\n"),
    Twins(
        "nothing-patched",
        "tests/test_tea.py",
        "from unittest." + "mock import patch\n",
        "from tests.support import x\n",
    ),
    Twins("nothing-patched", "tests/test_tea.py", "def x(m" + "ocker): ...\n", "def x(clock): ...\n"),
    Twins("nothing-patched", "tests/test_tea.py", "monkeypatch.set" + "attr(a, b)\n", "monkeypatch.setenv(a, b)\n"),
    Twins("test-sentence", "tests/test_tea.py", "def test_quota_2(): ...\n", "def test_a_cup_is_full(): ...\n"),
    Twins("unfinished", "docs/tea.md", "TO" + "DO: sugar\n", "To do without sugar\n"),
    Twins("unfinished", f"{SRC}/kernel/tea.py", "# FIX" + "ME\n", "# Sugar comes last: it slows the infusion.\n"),
    Twins(
        "machine-path",
        "docs/tea.md",
        "See /ho" + "me/ivan/tea.\n",
        "See docs/home/tea and https://example.com/home/x.\n",
    ),
    Twins("private-host", "docs/tea.md", "At 192." + "168.1.7.\n", "At 127.0.0.1, 8.8.8.8 and host.docker.internal.\n"),
    Twins("private-host", "docs/tea.md", "At index.tea." + "corp.\n", "At index.example.com.\n"),
    Twins(
        "public-lock",
        "uv.lock",
        'x = { registry = "https://tea/simple" }\n',
        'x = { registry = "https://pypi.org/simple" }\n',
    ),
    Twins("final-newline", "docs/tea.md", "Tea", "Tea\n"),
    Twins("final-newline", "docs/tea.md", "Tea\n\n", ""),
    Twins("final-newline", "docs/tea.md", "Tea\r\nWater\r\n", "Tea\nWater\n"),
    Twins(
        "dead-link", "docs/tea.md", "[cup](../cup.md)\n", "[tea](tea.md), `[cup](cup.md)`, [x](https://example.com)\n"
    ),
    Twins("dead-link", "docs/tea.md", "# Green tea\n[here](#black-tea)\n", "# Green tea\n[here](tea.md#green-tea)\n"),
]


@pytest.fixture(scope="module")
def house() -> Iterator[ModuleType]:
    """The rules, as tools/tidy.py imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        yield importlib.import_module("house")


def breaches(house: ModuleType, checkout: Path) -> list[Any]:
    """What the rules say of a checkout."""
    found: list[Any] = house.breaches(house.Checkout.of(checkout))
    return found


def tidy(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program as ``make check`` does."""
    command = [sys.executable, str(ROOT / "tools" / "tidy.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def tree(folder: Path, path: str, text: str) -> Path:
    """A checkout of one file."""
    file = folder / path
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode())
    return folder


@pytest.mark.parametrize("twins", TWINS, ids=str)
def test_a_rule_catches_its_breach_and_spares_the_rightful(twins: Twins, house: ModuleType, tmp_path: Path) -> None:
    wrong = breaches(house, tree(tmp_path / "wrong", twins.path, twins.wrong))
    assert [(breach.path, breach.rule) for breach in wrong] == [(twins.path, twins.rule)]
    right = breaches(house, tree(tmp_path / "right", twins.rightful_path or twins.path, twins.right))
    assert right == []


def test_a_breach_is_printed_with_its_place_and_rule(tmp_path: Path) -> None:
    done = tidy(str(tree(tmp_path, "docs/tea.md", "Tea\n\nTO" + "DO: sugar\n")))
    assert done.returncode == 1
    assert re.fullmatch(r"docs/tea\.md:3: unfinished: .+\n", done.stdout)


def test_every_rule_has_a_breach_planted(house: ModuleType) -> None:
    assert set(house.RULES) == {twins.rule for twins in TWINS}


def test_a_file_that_git_ignores_is_not_read(tmp_path: Path) -> None:
    checkout = tree(tmp_path / "checkout", "docs/tea.md", "no newline")
    (checkout / ".gitignore").write_text("docs/\n")
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    assert tidy(str(checkout)).returncode == 0
