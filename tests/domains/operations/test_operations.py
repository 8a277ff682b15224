"""Health, readiness, about, and the documentation page."""

import asyncio
import re

import pytest

from samovar.domains.operations.service import FRESH_S, OperationsService
from samovar.kernel.errors import Unavailable
from tests.app.conftest import Serve, Served
from tests.support.sockets import closed_port


async def _well() -> None:
    return None


async def _ill() -> None:
    raise Unavailable("PostgreSQL does not answer")


async def _hangs() -> None:
    await asyncio.sleep(60)


async def test_what_answers_is_ready() -> None:
    state = await OperationsService(probes={"database": _well}).readiness()
    assert (state.ready, state.checks, dict(state.failing)) == (True, ("database",), {})


async def test_what_does_not_answer_is_named_with_its_reason() -> None:
    state = await OperationsService(probes={"database": _well, "redis": _ill}).readiness()
    assert (state.ready, dict(state.failing)) == (False, {"redis": "PostgreSQL does not answer"})


async def test_a_probe_that_hangs_is_not_waited_for() -> None:
    service = OperationsService(probes={"database": _well, "redis": _hangs}, probe_timeout_s=0.05)
    assert dict((await service.readiness()).failing) == {"redis": "no answer within 0.05 s"}


async def test_a_defect_in_a_probe_is_a_reason_too() -> None:
    async def broken() -> None:
        raise OSError("no route to host")

    assert "redis" in (await OperationsService(probes={"redis": broken}).readiness()).failing


async def test_a_verdict_stands_for_a_second_whoever_asks() -> None:
    looks = 0

    async def counted() -> None:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.05)

    service = OperationsService(probes={"database": counted})
    await asyncio.gather(*(service.readiness() for _ in range(20)))
    await service.readiness()
    assert looks == 1
    await asyncio.sleep(FRESH_S + 0.1)
    assert (await service.readiness()).ready
    assert looks == 2


async def test_one_who_leaves_does_not_take_the_verdict_along() -> None:
    gate = asyncio.Event()
    service = OperationsService(probes={"database": gate.wait})
    first, second = asyncio.create_task(service.readiness()), asyncio.create_task(service.readiness())
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert (await second).ready


async def test_a_process_that_stops_is_not_ready() -> None:
    service = OperationsService(probes={})
    service.stop()
    assert dict((await service.readiness()).failing) == {"process": "stopping"}


@pytest.mark.parametrize(
    ("path", "field", "said"),
    [
        ("/healthz", "ok", True),
        ("/health", "status", "ok"),
        ("/health/live", "status", "ok"),
        ("/ready", "ready", True),
        ("/health/ready", "ready", True),
    ],
)
async def test_a_healthy_installation_says_so(served: Served, path: str, field: str, said: object) -> None:
    answer = await served.ask("GET", path)
    assert answer.status == 200
    assert answer.json[field] == said


@pytest.mark.parametrize("path", ["/ready", "/health/ready"])
async def test_without_its_redis_it_is_not_ready_and_says_what_fails(serve: Serve, path: str) -> None:
    served = await serve(redis_url=f"redis://127.0.0.1:{closed_port()}/0")
    answer = await served.ask("GET", path)
    assert answer.status == 503
    assert answer.json["ready"] is False
    assert set(answer.json["failing"]) == {"redis"}
    assert (await served.ask("GET", "/healthz")).status == 200


async def test_about_says_what_this_is(served: Served) -> None:
    about = (await served.ask("GET", "/about")).json
    assert about["name"] == "samovar"
    assert about["environment"] == "embedded"
    assert about["roles"] == ["all"]
    await asyncio.sleep(0.2)
    assert (await served.ask("GET", "/about")).json["uptime_s"] > about["uptime_s"]
    assert "POST /v1/chat/completions" in about["routes"]


async def test_the_documentation_page_needs_no_other_host(served: Served) -> None:
    page = await served.ask("GET", "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    text = page.body.decode()
    assert "//" not in text.replace("<!doctype", "")
    parts = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(parts) == 4
    for part in parts:
        answer = await served.ask("GET", part)
        assert answer.status == 200, part
        assert answer.body
        assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "image/png")


async def test_a_part_that_the_page_has_not_is_a_problem(served: Served) -> None:
    answer = await served.ask("GET", "/docs/assets/..%2f..%2fsecrets")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
