"""How long from exec until `/ready` answers 200."""

import secrets

from bench.figures import Figure, median
from bench.scenarios.bench import Bench

TARGET_S = 2.5


def startup(bench: Bench) -> list[Figure]:
    """On a fresh data directory (keys made, tables migrated) and on one that has been used."""
    stage = bench.stage
    admin_token = secrets.token_urlsafe(24)
    fresh = [_start(bench, admin_token) for _ in range(bench.measure.starts)]
    data = stage.fresh_directory()
    warm: list[float] = []
    for _ in range(bench.measure.starts + 1):
        child, _, seconds = stage.start_samovar(data, admin_token=admin_token)
        child.stop()
        warm.append(seconds)
    warm = warm[1:]  # the first start is what made the directory
    return [
        Figure("start-up, fresh directory", median(fresh), "s", TARGET_S, at_least=False, note=_range(fresh)),
        Figure("start-up, used directory", median(warm), "s", TARGET_S, at_least=False, note=_range(warm)),
    ]


def _start(bench: Bench, admin_token: str) -> float:
    child, _, seconds = bench.stage.start_samovar(bench.stage.fresh_directory(), admin_token=admin_token)
    child.stop()
    return seconds


def _range(seconds: list[float]) -> str:
    return f"{min(seconds):.2f} to {max(seconds):.2f}, of {len(seconds)}"
