"""Every import contract of pyproject.toml holds, and catches the breach it is there for."""

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


@dataclass(frozen=True)
class Plant:
    """A line that breaks a contract, put into a module below ``samovar``, which need not be there."""

    contract: str
    module: str
    line: str

    def __str__(self) -> str:
        return f"{self.module}: {self.line or 'is there'}"

    def caught_in(self, report: str) -> bool:
        """Whether import-linter's report names this import, or this module where its being there is the breach."""
        module = f"samovar.{self.module}".removesuffix(".__init__")
        if not self.line:
            return module in report
        imported = self.line.split()[1]
        target = imported if imported.startswith("samovar.") else imported.split(".")[0]
        return f"{module} -> {target} (l." in report


PLANTS = [
    Plant("rooms", "kernel.planted", "import samovar.ports.clock"),
    Plant("rooms", "ports.planted", "import samovar.adapters.system"),
    Plant("rooms", "ports.planted", "import samovar.domains.identity"),
    Plant("rooms", "adapters.planted", "import samovar.domains.identity"),
    Plant("rooms", "adapters.planted", "import samovar.providers"),
    Plant("rooms", "providers.planted", "import samovar.adapters.system"),
    Plant("rooms", "domains.planted", "import samovar.adapters.system"),
    Plant("rooms", "domains.planted", "import samovar.app"),
    Plant("rooms", "app.planted", "import samovar.cli"),
    Plant("rooms", "attic", ""),
    Plant("root", "__init__", "import samovar.kernel.errors"),
    Plant("domains", "domains.identity.service", "import samovar.domains.catalog.model"),
    Plant("domains", "domains.billing.service", "import samovar.domains.gateway.model"),
    Plant("domains", "domains.operations.service", "import samovar.domains.usage.model"),
    Plant("domains", "domains.attic", ""),
    Plant("anatomy", "domains.usage.errors", "import samovar.domains.usage.model"),
    Plant("anatomy", "domains.usage.model", "import samovar.domains.usage.store"),
    Plant("anatomy", "domains.usage.store", "import samovar.domains.usage.service"),
    Plant("anatomy", "domains.usage.service", "import samovar.domains.usage.http"),
    Plant("anatomy", "domains.usage.jobs", "import samovar.domains.usage.http"),
    Plant("anatomy", "domains.usage.attic", ""),
    Plant("entrances", "domains.usage.http", "import samovar.domains.usage.store"),
    Plant("entrances", "domains.usage.jobs", "import samovar.domains.usage.store"),
    Plant("face", "domains.gateway.service", "import samovar.domains.identity.store"),
    Plant("face", "domains.gateway.service", "import samovar.domains.identity.http"),
    Plant("face", "domains.gateway.service", "import samovar.domains.identity.jobs"),
    Plant("face", "domains.gateway.service", "import samovar.domains.identity.errors"),
    Plant("pure", "kernel.planted", "import pydantic"),
    Plant("pure", "domains.identity.errors", "from starlette.exceptions import HTTPException"),
    Plant("pure", "domains.identity.model", "from sqlalchemy import select"),
    Plant("pure", "domains.identity.model", "import samovar.ports.database"),
    Plant("drivers", "domains.identity.service", "import redis.asyncio"),
    Plant("drivers", "ports.planted", "import pyreqwest.client"),
    Plant("web", "domains.identity.service", "from fastapi import Request"),
    Plant("web", "domains.identity.store", "from starlette.requests import Request"),
    Plant("adapters", "adapters.planted", "import samovar.adapters.system"),
    Plant("providers", "providers.planted", "import samovar.providers.sandbox"),
]


def module_file(source: Path, module: str) -> Path:
    """The file of a module: the one that is there, else a new one, a package where its parent may hold only packages."""
    base = source.joinpath(*module.split("."))
    if base.is_dir():
        return base / "__init__.py"
    return base / "__init__.py" if base.name == "attic" else base.with_suffix(".py")


def plant(checkout: Path, module: str, line: str) -> None:
    """Put the line into the module; what it imports of ours is made where the tree lacks it."""
    source = checkout / "src" / "samovar"
    imported = line.removeprefix("import samovar.") if line.startswith("import samovar.") else None
    for name, text in ((imported, ""), (module, f"\n{line}\n")):
        if name is not None:
            file = module_file(source, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a") as end:
                end.write(text)


@pytest.fixture(scope="module")
def clean_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as it is, to be copied again."""
    copy = tmp_path_factory.mktemp("clean")
    shutil.copytree(ROOT / "src" / "samovar", copy / "src" / "samovar", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.fixture
def checkout(clean_copy: Path, tmp_path: Path) -> Path:
    """A copy to plant in."""
    return shutil.copytree(clean_copy, tmp_path / "checkout")


def lint_imports(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the copy, which stands before the installed program on the path."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "COLUMNS": "300", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=60)


def test_the_program_keeps_every_contract(clean_copy: Path) -> None:
    done = lint_imports(clean_copy)
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in done.stdout, done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("contract", sorted({planted.contract for planted in PLANTS}))
def test_a_contract_catches_every_import_planted_against_it(contract: str, checkout: Path) -> None:
    for planted in (those := [planted for planted in PLANTS if planted.contract == contract]):
        plant(checkout, planted.module, planted.line)
    done = lint_imports(checkout, "--contract", contract)
    assert "Contracts: 0 kept, 1 broken." in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    missed = [str(planted) for planted in those if not planted.caught_in(done.stdout)]
    assert missed == [], done.stdout


def test_every_contract_has_a_breach_planted() -> None:
    assert {contract["id"] for contract in CONTRACTS} == {planted.contract for planted in PLANTS}
