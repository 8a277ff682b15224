"""``.env.example`` is what the settings say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_of_the_settings_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "tools/env_example.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
