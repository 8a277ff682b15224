"""``docs/models.md`` is what the providers say."""

import subprocess
import sys
from pathlib import Path

from samovar.providers.vendors import VENDORS

ROOT = Path(__file__).parents[2]


def test_the_table_of_vendors_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "tools/models_table.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_every_vendor_has_its_part_and_says_what_it_refuses() -> None:
    parts = (ROOT / "docs" / "models.md").read_text("utf-8").split("\n### ")[1:]
    assert [part.partition("\n")[0] for part in parts] == [vendor.title for vendor in VENDORS.values()]
    assert all("cannot ask for:\n\n- " in part for part in parts)
