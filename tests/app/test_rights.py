"""Who may not ask is told that, and not what is wrong with the question."""

import json
import re
from typing import Any

import pytest

from samovar.app.rights import permission_of
from samovar.domains.identity.model import Permission
from tests.app.conftest import ADMIN, Served

# These ask other things than one permission, or are open to all who may call.
ELSEWHERE = ("/api/routes/explain", "/api/backups", "/admin/backup", "/api/auth/token")


async def caller(served: Served, *scopes: str) -> dict[str, str]:
    order = json.dumps({"name": "k", "scopes": scopes}).encode()
    made = await served.ask("POST", "/api/keys", body=order, headers=ADMIN)
    return {"Authorization": f"Bearer {made.json['key']}", "Content-Type": "application/json"}


def changes(described: Any) -> list[tuple[str, str]]:
    """Every operation of the control plane that takes a body."""
    return [
        (method.upper(), re.sub(r"\{[^}]+\}", "x", path))
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if path.startswith(("/api/", "/admin/")) and "requestBody" in operation and not path.startswith(ELSEWHERE)
    ]


async def test_a_bad_body_of_who_may_not_ask_is_refused_for_the_right_that_is_missing(shared: Served) -> None:
    stranger = await caller(shared, "models")
    asked = changes((await shared.ask("GET", "/openapi.json")).json)
    assert {("POST", "/api/quotas"), ("PUT", "/api/models/x/override"), ("PATCH", "/api/keys/x")} <= set(asked)
    for method, path in asked:
        answer = await shared.ask(method, path, body=b'{"odd": 1}', headers=stranger)
        assert (answer.status, answer.json["code"]) == (403, "forbidden"), (method, path)


async def test_a_bad_body_of_who_may_ask_is_told_what_is_wrong(shared: Served) -> None:
    for method, path in (("POST", "/api/quotas"), ("POST", "/api/wallets"), ("POST", "/api/keys")):
        answer = await shared.ask(
            method, path, body=b'{"odd": 1}', headers={**ADMIN, "Content-Type": "application/json"}
        )
        assert answer.status == 422, path


async def test_a_bad_parameter_of_who_may_not_ask_is_refused_for_the_right_that_is_missing(shared: Served) -> None:
    stranger = await caller(shared, "models")
    for path in ("/api/usage?bucket=year", "/api/keys?limit=0", "/api/wallets?limit=x", "/api/jobs?limit=0"):
        assert (await shared.ask("GET", path, headers=stranger)).status == 403, path


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        ("gateway", ["/api/models"]),
        ("usage", ["/api/usage", "/api/usage/breakdown?by=user", "/api/usage/events", "/api/usage/forecast"]),
        ("keys", ["/api/keys"]),
    ],
)
async def test_what_a_scope_is_for_is_not_refused(shared: Served, scope: str, paths: list[str]) -> None:
    for path in paths:
        assert (await shared.ask("GET", path, headers=await caller(shared, scope))).status == 200, path


def test_reading_and_changing_take_their_own_permissions() -> None:
    assert permission_of("GET", "/api/quotas") is Permission.QUOTAS_READ
    assert permission_of("DELETE", "/api/quotas/quota_1") is Permission.QUOTAS_WRITE
    assert permission_of("GET", "/api/usage/forecast/budgets/bud_1") is Permission.WALLETS_READ
    assert permission_of("GET", "/api/models/openai/gpt-5/override") is Permission.CATALOG_READ
    assert permission_of("GET", "/api/models") is None
    assert permission_of("POST", "/api/routes/explain") is None
