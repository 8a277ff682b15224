"""Prompts over HTTP, as the document's curls ask for them and as they should not be asked for."""

import asyncio
import io
from typing import Any

import msgspec
import pytest

from tests.app.conftest import ADMIN, Answer, Serve, Served

DOCUMENTED = {
    "namespace": "default",
    "name": "test_prompt",
    "version": 1,
    "lang": "ru",
    "text": "Тестовый промпт",
    "tags": ["test"],
    "priority": 10,
    "is_active": True,
}


async def tell(
    served: Served, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """A write as curl makes it: with its usual content type."""
    raw = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
    sent = {**ADMIN, "Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
    return await served.ask(method, path, body=raw, headers=sent)


async def make(served: Served, **fields: Any) -> Any:
    answer = await tell(served, "POST", "/v1/prompts", {"namespace": "default", "name": "p", "text": "Hello", **fields})
    assert answer.status == 201, answer.body
    return answer.json


@pytest.fixture
async def served(serve: Serve) -> Served:
    """One that takes as many writes as a test makes."""
    return await serve(prompt_writes="off")


async def test_the_curls_of_the_document_work(served: Served) -> None:
    made = await tell(served, "POST", "/v1/prompts", DOCUMENTED)
    assert made.status == 201
    assert made.headers["location"] == "/v1/prompts/1"
    assert {name: made.json[name] for name in DOCUMENTED} == DOCUMENTED
    assert made.json["id"] == 1
    assert made.json["is_default"] is False
    listed = await served.ask("GET", "/v1/prompts?namespace=default&lang=ru")
    assert listed.json == {"items": [made.json], "next_cursor": None}
    assert (await served.ask("GET", "/v1/prompts/1")).json == made.json
    changed = await tell(served, "PUT", "/v1/prompts/1", {"text": "Обновлённый текст"})
    assert (changed.status, changed.json["text"], changed.json["version"]) == (200, "Обновлённый текст", 1)
    defaulted = await tell(served, "PUT", "/v1/prompts/1/default")
    assert (defaulted.status, defaulted.json["is_default"]) == (200, True)
    found = await served.ask("GET", "/v1/prompts/default?namespace=default&lang=ru")
    assert (found.status, found.json) == (200, defaulted.json)
    assert (await served.ask("GET", "/v1/prompts")).json["items"] == [defaulted.json]


async def test_after_twenty_writes_a_caller_waits_and_is_told_how_long(serve: Serve) -> None:
    served = await serve()
    answers = [await tell(served, "POST", "/v1/prompts", DOCUMENTED) for _ in range(25)]
    statuses = [answer.status for answer in answers]
    assert statuses[0] == 201
    assert set(statuses[1:20]) == {409}
    assert statuses[21:] == [429] * 4
    refused = answers[-1]
    assert refused.headers["x-ratelimit-limit"] == "20"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert refused.json["code"] == "too_many_writes"
    assert answers[0].headers["x-ratelimit-remaining"] == "19"
    assert (await served.ask("GET", "/v1/prompts/1")).status == 200
    assert (await tell(served, "POST", "/v1/prompts/1/render", {})).status == 200


async def test_an_answer_from_memory_says_so_and_a_write_ends_it(served: Served, logged: io.StringIO) -> None:
    await make(served, make_default=True)
    paths = (
        "/v1/prompts/1",
        "/v1/prompts/default",
        "/v1/prompts?lang=en",
        "/v1/prompts/2",
        "/v1/prompts/default?lang=ru",
    )
    for _ in range(2):
        assert [(await served.ask("GET", path)).headers.get("x-cache") for path in paths[:3]] == ["MISS"] * 3
        assert [(await served.ask("GET", path)).headers.get("x-cache") for path in paths[:3]] == ["HIT"] * 3
        assert (await tell(served, "PUT", "/v1/prompts/1", {"text": f"Hi {_}"})).status == 200
    assert (await served.ask("GET", "/v1/prompts/1")).json["text"] == "Hi 1"
    absent = [await served.ask("GET", path) for path in paths[3:] * 2]
    assert [(answer.status, answer.headers.get("x-cache")) for answer in absent] == [(404, "MISS")] * 2 + [
        (404, "HIT")
    ] * 2
    await make(served, lang="ru", make_default=True)
    assert [(await served.ask("GET", path)).status for path in paths[3:]] == [200, 200]
    lines = [msgspec.json.decode(line) for line in logged.getvalue().splitlines()]
    outcomes = [line["outcome"] for line in lines if line["event"] == "prompt cache"]
    assert {"HIT", "MISS"} == set(outcomes)


async def test_a_conditional_read_is_told_that_nothing_changed(served: Served) -> None:
    await make(served)
    for path in ("/v1/prompts/1", "/v1/prompts"):
        first = await served.ask("GET", path)
        tag = first.headers["etag"]
        for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = await served.ask("HEAD", path, headers={"If-None-Match": sent})
            assert (again.status, again.headers["etag"]) == (304, tag)
        await tell(served, "PUT", "/v1/prompts/1", {"text": path})
        assert (await served.ask("GET", path, headers={"If-None-Match": tag})).status == 200


async def test_who_asks_for_the_default_again_is_told_when_it_is_another_version(served: Served) -> None:
    await make(served, make_default=True)
    await make(served, name="other")
    first = await served.ask("GET", "/v1/prompts/default")
    tag = first.headers["etag"]
    assert (await served.ask("GET", "/v1/prompts/default", headers={"If-None-Match": tag})).status == 304
    moved = await tell(served, "PUT", "/v1/prompts/2/default")
    # Both stand at the same revision.
    assert moved.json["revision"] == first.json["revision"]
    again = await served.ask("GET", "/v1/prompts/default", headers={"If-None-Match": tag})
    assert (again.status, again.json["id"]) == (200, 2)
    # What it gives out is good for a write of the version that it led to, and of no other.
    seen = {"If-Match": again.headers["etag"]}
    assert (await tell(served, "PUT", "/v1/prompts/1", {"text": "Hi"}, seen)).status == 412
    assert (await tell(served, "PUT", "/v1/prompts/2", {"text": "Hi"}, seen)).status == 200
    assert (await tell(served, "PUT", "/v1/prompts/2", {"text": "Hey"}, seen)).status == 412


async def test_of_two_writers_at_once_the_second_is_refused(served: Served) -> None:
    made = await tell(served, "POST", "/v1/prompts", DOCUMENTED)
    seen = {"If-Match": made.headers["etag"]}
    both = await asyncio.gather(*(tell(served, "PUT", "/v1/prompts/1", {"text": by}, seen) for by in "ab"))
    assert sorted(answer.status for answer in both) == [200, 412]
    assert (await tell(served, "DELETE", "/v1/prompts/1", headers=seen)).status == 412
    assert (await tell(served, "PUT", "/v1/prompts/1", {"text": "c"}, {"If-Match": "x y"})).status == 400


async def test_what_cannot_be_kept_is_named(served: Served) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"text": "я" * 10_001}, "text"),
        ({"text": ""}, "text"),
        ({"name": "n" * 129}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": " a"}, "name"),
        ({"namespace": "x\ny"}, "namespace"),
        ({"lang": "Russian"}, "lang"),
        ({"version": 0}, "version"),
        ({"version": 10**30}, "version"),
        ({"priority": 2_000_000}, "priority"),
        ({"tags": ["a", "a"]}, "tags"),
        ({"tags": [str(n) for n in range(33)]}, "tags"),
        ({"labels": ["no blanks here"]}, "labels"),
        ({"make_default": True, "is_active": False}, "make_default"),
        ({"variables": [{"name": "1x"}]}, "variables"),
        ({"variables": [{"name": "x", "type": "integer", "default": "7"}]}, "variables"),
        ({"variables": [{"name": "x", "type": "enum"}]}, "variables"),
        ({"id": 7}, "id"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "created_at"),
    ]
    for change, where in wrong:
        body = {"namespace": "default", "name": "p", "text": "Hello", **change}
        answer = await tell(served, "POST", "/v1/prompts", body)
        assert answer.status == 422, (change, answer.body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert where in answer.body.decode()
    assert (await served.ask("GET", "/v1/prompts")).json["items"] == []


async def test_an_id_in_a_put_is_refused_and_overwrites_nothing(served: Served) -> None:
    one, other = await make(served), await make(served, name="other")
    for body in ({"id": other["id"], "text": "x"}, {"id": one["id"], "text": "x"}, {"id": None, "text": "x"}):
        answer = await tell(served, "PUT", f"/v1/prompts/{one['id']}", body)
        assert answer.status == 422
        assert "ids are given out here" in answer.body.decode()
    for body in ({"name": "other"}, {"version": 2}, {"lang": "ru"}, {"namespace": "x"}):
        assert (await tell(served, "PUT", f"/v1/prompts/{one['id']}", body)).status == 422
    same = {name: one[name] for name in ("namespace", "name", "lang", "version")}
    changed = await tell(served, "PUT", f"/v1/prompts/{one['id']}", {**same, "text": "x", "tags": None})
    assert (changed.status, changed.json["text"]) == (200, "x")
    assert (await served.ask("GET", f"/v1/prompts/{other['id']}")).json == other


async def test_texts_come_back_as_they_were_sent(served: Served) -> None:
    for text in ["ж" * 10_000, "\U0001f468\U0001f3fd" * 5_000, "a\r\nb\tc ёЁ \u202e", "   ", "{{{{x}}}}"]:
        made = await make(served, text=text)
        assert made["text"] == text
        assert (await served.ask("GET", f"/v1/prompts/{made['id']}")).json["text"] == text


async def test_characters_that_are_none_are_refused(served: Served) -> None:
    for raw in [rb'"a\u0000b"', b'"a\x00b"', rb'"\ud800"', rb'"x\udfff"', b'"\xff\xfe"', b"1", b"null", b"[" * 2000]:
        body = b'{"namespace": "default", "name": "p", "text": ' + raw + b"}"
        assert (await tell(served, "POST", "/v1/prompts", body)).status in (400, 422), raw
        body = b'{"namespace": "default", "name": ' + raw + b', "text": "x"}'
        assert (await tell(served, "POST", "/v1/prompts", body)).status in (400, 422), raw


async def test_what_is_no_id_is_not_found(served: Served) -> None:
    await make(served)
    for word in ("0", "-1", "abc", "1.0", "9" * 19, "9" * 40, "%00", "%D9%A1", "1%2F", "default%2F", "versions", "²"):
        path = f"/v1/prompts/{word}".encode().decode("latin-1")
        answer = await served.ask("GET", path)
        assert answer.status in (400, 404), (word, answer.body)
        assert answer.headers["content-type"] == "application/problem+json"
        for method, rest in (("PUT", ""), ("DELETE", ""), ("PUT", "/default"), ("GET", "/versions"), ("GET", "/diff")):
            found = await tell(served, method, path + rest, {"text": "x"} if method == "PUT" else None)
            assert found.status in (400, 404, 405, 422), (word, method, rest, found.body)
    assert (await served.ask("GET", "/v1/prompts/1")).json["text"] == "Hello"


async def test_a_list_that_cannot_be_asked_for_is_refused_with_the_parameter(served: Served) -> None:
    for query, where in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("active=maybe", "active"),
        ("sort=size", "sort"),
        ("cursor=x", "cursor"),
        ("namespace=" + "n" * 65, "namespace"),
        ("q=" + "w" * 201, "q"),
        ("tag=%00", "tag"),
        ("lang=Russian", "lang"),
        ("&".join(f"x{n}=1" for n in range(60)), "query"),
    ]:
        answer = await served.ask("GET", f"/v1/prompts?{query}")
        assert (answer.status, answer.json["errors"][0]["where"]) == (422, where), query


async def test_a_stranger_reads_and_does_not_write_where_reading_is_open(served: Served) -> None:
    await make(served, text="Hi {{name}}")
    for path in (
        "/v1/prompts",
        "/v1/prompts/1",
        "/v1/prompts/1/versions",
        "/v1/prompts/1/history",
        "/v1/prompts/1/diff",
    ):
        assert (await served.ask("GET", path)).status == 200
    filled = await served.ask("POST", "/v1/prompts/1/render", body=b'{"variables": {"name": "Ann"}}')
    assert filled.json["text"] == "Hi Ann"
    for method, path in (("POST", "/v1/prompts"), ("PUT", "/v1/prompts/1"), ("DELETE", "/v1/prompts/1")):
        assert (await served.ask(method, path, body=b'{"text": "x"}')).status == 401
    for wrong in ({"Authorization": "Bearer nobody"}, {"X-Admin-Token": "nobody"}):
        assert (await served.ask("GET", "/v1/prompts/1", headers=wrong)).status == 401
        assert (await served.ask("GET", "/v1/prompts/1/versions", headers=wrong)).status == 401


async def test_where_reading_is_not_open_it_needs_a_key(serve: Serve) -> None:
    served = await serve(open="off")
    made = await tell(served, "POST", "/api/keys", {"name": "reader"})
    key = {"Authorization": f"Bearer {made.json['key']}"}
    prompt = await make(served)
    for path in ("/v1/prompts", f"/v1/prompts/{prompt['id']}", f"/v1/prompts/{prompt['id']}/versions"):
        assert (await served.ask("GET", path)).status == 401
        assert (await served.ask("GET", path, headers=key)).status == 200
        assert (await served.ask("GET", path, headers=ADMIN)).status == 200
    refused = await served.ask("PUT", f"/v1/prompts/{prompt['id']}", body=b'{"text": "x"}', headers=key)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    usage = await tell(served, "POST", "/api/keys", {"name": "usage", "scopes": ["usage"]})
    blind = {"Authorization": f"Bearer {usage.json['key']}"}
    assert (await served.ask("GET", "/v1/prompts/1", headers=blind)).status == 403


async def test_a_nonce_is_good_once(served: Served) -> None:
    now = str(int(served.services.clock.now().timestamp()))
    sent = {"X-Nonce": "n-1", "X-Timestamp": now}
    body = {"namespace": "default", "name": "p", "text": "Hello"}
    rivals = await asyncio.gather(*(tell(served, "POST", "/v1/prompts", body, sent) for _ in range(5)))
    assert sorted(answer.status for answer in rivals) == [201, 409, 409, 409, 409]
    assert {answer.json.get("code") for answer in rivals} == {None, "nonce_replayed"}
    assert (await tell(served, "POST", "/v1/prompts", body, {"X-Nonce": "n-2"})).status == 201
    assert (await tell(served, "POST", "/v1/prompts", body, {"X-Nonce": "n-2"})).status == 409
    for late in (int(now) - 301, int(now) + 70, (int(now) - 301) * 1000):
        answer = await tell(served, "POST", "/v1/prompts", body, {"X-Nonce": "n-3", "X-Timestamp": str(late)})
        assert (answer.status, answer.json["code"]) == (409, "nonce_expired")
    for wrong in ({"X-Nonce": "n" * 129}, {"X-Nonce": ""}, {"X-Timestamp": "yesterday"}):
        assert (await tell(served, "POST", "/v1/prompts", body, wrong)).status == 422


async def test_where_nonces_are_required_a_write_without_one_is_refused(serve: Serve) -> None:
    served = await serve(nonce_required=True)
    body = {"namespace": "default", "name": "p", "text": "Hello"}
    refused = await tell(served, "POST", "/v1/prompts", body)
    assert refused.status == 422
    assert {flaw["where"] for flaw in refused.json["errors"]} == {"X-Nonce", "X-Timestamp"}
    now = str(int(served.services.clock.now().timestamp() * 1000))
    assert (await tell(served, "POST", "/v1/prompts", body, {"X-Nonce": "n", "X-Timestamp": now})).status == 201


async def test_the_default_is_not_deleted_or_switched_off_unasked(served: Served) -> None:
    made = await make(served, make_default=True, labels=["production"])
    path = f"/v1/prompts/{made['id']}"
    for method, body, code in (
        ("DELETE", None, "prompt_is_default"),
        ("PUT", {"is_active": False}, "prompt_is_default"),
    ):
        answer = await tell(served, method, path, body)
        assert (answer.status, answer.json["code"]) == (409, code)
    assert (await tell(served, "DELETE", f"{path}/default")).json["is_default"] is False
    assert (await tell(served, "DELETE", path)).json["code"] == "prompt_is_labelled"
    off = await tell(served, "PUT", path, {"is_active": False})
    assert (await tell(served, "PUT", f"{path}/default")).json["code"] == "prompt_inactive"
    assert off.status == 200
    assert (await tell(served, "DELETE", f"{path}?force=true")).status == 204
    assert (await served.ask("GET", path)).status == 404


async def test_versions_labels_and_history_over_http(served: Served) -> None:
    one = await make(served, text="one", labels=["production"])
    two = (await tell(served, "POST", "/v1/prompts/1/versions", {"text": "two"})).json
    assert (two["version"], two["labels"]) == (2, [])
    moved = await tell(served, "PUT", f"/v1/prompts/{two['id']}/labels/production")
    assert moved.json["labels"] == ["production"]
    listed = await served.ask("GET", "/v1/prompts?label=production")
    assert [prompt["id"] for prompt in listed.json["items"]] == [two["id"]]
    assert (await served.ask("GET", f"/v1/prompts/{one['id']}")).json["labels"] == []
    assert (await tell(served, "DELETE", f"/v1/prompts/{two['id']}/labels/production")).json["labels"] == []
    assert (await tell(served, "DELETE", f"/v1/prompts/{two['id']}/labels/production")).status == 404
    await tell(served, "PUT", "/v1/prompts/1", {"text": "uno"})
    history = (await served.ask("GET", "/v1/prompts/1/history")).json["items"]
    assert [former["text"] for former in history] == ["one"]
    against = f"revision:{history[0]['revision']}"
    for query in ("", f"?against={against}", f"?against={two['id']}"):
        diff = (await served.ask("GET", f"/v1/prompts/1/diff{query}")).json
        assert (diff["added"], diff["removed"]) == (1, 1)
    for query in ("?against=99", "?against=revision:99"):
        assert (await served.ask("GET", f"/v1/prompts/1/diff{query}")).status == 404
    for query in ("?against=x", "?against=0", "?against=9999999999999999999"):
        assert (await served.ask("GET", f"/v1/prompts/1/diff{query}")).status == 422
    restored = await tell(served, "POST", "/v1/prompts/1/restore", {"revision": history[0]["revision"]})
    assert restored.json["text"] == "one"
    versions = (await served.ask("GET", "/v1/prompts/1/versions")).json["items"]
    assert [prompt["version"] for prompt in versions] == [2, 1]


async def test_an_idempotent_write_is_done_once_whatever_its_nonce(served: Served) -> None:
    sent = {"Idempotency-Key": "k", "X-Nonce": "n"}
    body = {"namespace": "default", "name": "p", "text": "Hello"}
    first, again = [await tell(served, "POST", "/v1/prompts", body, sent) for _ in range(2)]
    assert (again.status, again.json, again.headers["idempotent-replayed"]) == (201, first.json, "true")


async def test_methods_that_there_are_not_are_named(served: Served) -> None:
    await make(served)
    for method, path, allowed in (
        ("PATCH", "/v1/prompts/1", {"GET", "HEAD", "PUT", "DELETE"}),
        ("DELETE", "/v1/prompts", {"GET", "HEAD", "POST"}),
        ("POST", "/v1/prompts/default", {"GET", "HEAD"}),
    ):
        answer = await tell(served, method, path)
        assert answer.status == 405, (method, path, answer.body)
        assert allowed <= set(answer.headers["allow"].split(", "))
