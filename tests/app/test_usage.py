"""``/api/usage`` of a whole Samovar: real calls of its sandbox, told over a socket."""

import asyncio
import csv
import io
import json
from typing import Any

from tests.app.conftest import ADMIN, Serve, Served

CALL = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "one two three"}]}


async def key_of(served: Served, *scopes: str) -> dict[str, str]:
    order = json.dumps({"name": "k", "scopes": scopes}).encode()
    made = await served.ask("POST", "/api/keys", body=order, headers=ADMIN)
    return {"Authorization": f"Bearer {made.json['key']}"}


async def called(served: Served, count: int, model: str = "sandbox/echo") -> None:
    """So many calls were made and stand in the sums."""
    caller = await key_of(served, "gateway")
    for _ in range(count):
        await served.ask(
            "POST", "/v1/chat/completions", body=json.dumps({**CALL, "model": model}).encode(), headers=caller
        )
    await served.services.usage.flush()


async def told(served: Served, path: str, headers: dict[str, str] = ADMIN) -> Any:
    answer = await served.ask("GET", path, headers=headers)
    assert answer.status == 200, answer.body
    return answer.json


async def test_calls_show_in_the_series_the_breakdown_and_the_list(served: Served) -> None:
    await called(served, 3)
    reader = await key_of(served, "usage")
    (item,) = (await told(served, "/api/usage/breakdown?by=model&latency=true", reader))["items"]
    assert (item["name"], item["calls"], item["errors"], item["unpriced_calls"]) == ("sandbox/echo", 3, 0, 0)
    assert item["latency"]["p95_ms"] > 0
    page = await told(served, "/api/usage/events?limit=2", reader)
    assert len(page["items"]) == 2
    assert page["items"][0]["model"] == "sandbox/echo"
    rest = await told(served, f"/api/usage/events?limit=2&cursor={page['next_cursor']}", reader)
    assert (len(rest["items"]), rest["next_cursor"]) == (1, None)
    for bucket in ("minute", "hour", "day"):
        points = (await told(served, f"/api/usage?bucket={bucket}", reader))["points"]
        assert sum(point["calls"] for point in points) == 3
        assert {point["cost_credits"] for point in points} == {"0", item["cost_credits"]}
    assert (await told(served, "/api/usage/forecast?days=3", reader))["method"] == "none"


async def test_filters_leave_out_what_does_not_fit(served: Served) -> None:
    await called(served, 2)
    await called(served, 1, "sandbox/none-such")
    for query, calls in (
        ("", 3),
        ("status=ok", 2),
        ("status=error", 1),
        ("model=sandbox/echo", 2),
        ("provider=nobody", 0),
        ("key=nobody", 0),
        ("surface=openai-chat", 3),
        ("from=2030-01-01T00:00:00Z&to=2030-01-02T00:00:00Z", 0),
    ):
        assert (await told(served, f"/api/usage/breakdown?by=key&{query}"))["total"]["calls"] == calls, query


async def test_usage_is_told_by_project_user_and_route(served: Served) -> None:
    """A key's own person counts; what its holder says counts where the key says nothing, and is marked."""
    for owners, model, says in (
        ({"project_id": "site", "user_id": "ann"}, "sandbox/echo", "bob"),
        ({"project_id": "site"}, "auto:cost", "bob"),
        ({}, "sandbox/echo", ""),
        ({}, "sandbox/none-such", ""),
    ):
        order = json.dumps({"name": "k", **owners}).encode()
        made = await served.ask("POST", "/api/keys", body=order, headers=ADMIN)
        headers = {"Authorization": f"Bearer {made.json['key']}", "X-Samovar-User": says}
        body = json.dumps({**CALL, "model": model}).encode()
        await served.ask("POST", "/v1/chat/completions", body=body, headers=headers)
    await served.services.usage.flush()
    for by, calls in (
        ("project", {"site": 2, "": 2}),
        ("user", {"ann": 1, "~bob": 1, "": 2}),
        ("route", {"sandbox/echo": 2, "auto:cost": 1, "": 1}),
    ):
        items = (await told(served, f"/api/usage/breakdown?by={by}"))["items"]
        assert {item["name"]: item["calls"] for item in items} == calls
        for name in filter(None, calls):
            found = await told(served, f"/api/usage?{by}={name}")
            assert sum(point["calls"] for point in found["points"]) == calls[name]
            exported = await served.ask("GET", f"/api/usage/export?{by}={name}", headers=ADMIN)
            assert len(list(csv.DictReader(io.StringIO(exported.body.decode(), newline="")))) == calls[name]
    events = (await told(served, "/api/usage/events?route=auto:cost"))["items"]
    assert [(one["project"], one["user"], one["strategy"]) for one in events] == [("site", "~bob", "cost")]


async def test_the_export_is_streamed_in_both_forms(served: Served) -> None:
    await called(served, 3)
    answer = await served.ask("GET", "/api/usage/export", headers=ADMIN)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["transfer-encoding"] == "chunked"
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    lines = (await served.ask("GET", "/api/usage/export?format=jsonl", headers=ADMIN)).body.splitlines()
    assert [row["id"] for row in rows] == [json.loads(line)["id"] for line in lines]
    assert len(rows) == 3


async def test_wrong_questions_are_refused_in_words(served: Served) -> None:
    stranger = await key_of(served, "gateway")
    for path, headers, status in (
        ("/api/usage", {}, 401),
        ("/api/usage/export", stranger, 403),
        ("/api/usage/events?cursor=nonsense", ADMIN, 400),
        ("/api/usage/events?cursor=99999999999999999_x", ADMIN, 400),
        ("/api/usage?from=2026-01-01", ADMIN, 422),
        ("/api/usage?from=0001-01-01T00:00:00Z", ADMIN, 422),
        ("/api/usage?to=9999-12-31T23:59:59-14:00", ADMIN, 422),
        ("/api/usage?from=0001-01-01T00:00:00%2B14:00", ADMIN, 422),
        ("/api/usage?bucket=year", ADMIN, 422),
        ("/api/usage/breakdown?by=colour", ADMIN, 422),
        ("/api/usage/forecast?days=1000", ADMIN, 422),
    ):
        answer = await served.ask("GET", path, headers=headers)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), path


async def test_the_loop_sums_up_by_itself(serve: Serve) -> None:
    served = await serve()
    caller = await key_of(served, "gateway")
    await served.ask("POST", "/v1/chat/completions", body=json.dumps(CALL).encode(), headers=caller)
    async with asyncio.timeout(15):
        while not (await told(served, "/api/usage/breakdown"))["items"]:  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0.1)


async def test_dropped_events_are_a_counter(served: Served) -> None:
    text = (await served.ask("GET", "/metrics", headers=ADMIN)).body.decode()
    assert "# TYPE samovar_usage_events_dropped_total counter" in text
    assert 'queue="usage_events_dropped"' not in text
