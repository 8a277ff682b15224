"""A Samovar with something of everything in its database, made through its own API."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from samovar.app.application import edge_of
from samovar.app.services import Services
from samovar.app.settings import Settings
from tests.app.conftest import ADMIN, ADMIN_TOKEN, Served, listening


def settings_at(data_dir: Path, database_url: str, **more: Any) -> Settings:
    """Of an installation that nothing of this machine's environment reaches."""
    given = {"data_dir": data_dir, "database_url": database_url, "admin_token": ADMIN_TOKEN, "_env_file": None, **more}
    return Settings(**given)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Served]:
    """It serves inside the block."""
    services = Services(settings)
    async with services.running(), listening(edge_of(services)) as port:
        yield Served(port, services)


async def say(served: Served, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """What the administrator's request, or that of another credential, is answered."""
    given = {name.replace("_", "-"): value for name, value in headers.items()} or ADMIN
    answer = await served.ask(method, path, body=None if body is None else json.dumps(body).encode(), headers=given)
    assert answer.status < 300, answer.body
    return answer.json if answer.body else None


async def call(served: Served, key: str, words: str = "Привет, \u2028 Samovar") -> Any:
    """A call of the sandbox's echo."""
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": words}]}
    return await say(served, "POST", "/v1/chat/completions", body, Authorization=f"Bearer {key}")


async def fill(served: Served) -> str:
    """Rows in as many tables as the API reaches; the key that pays from a wallet."""
    account = await say(served, "POST", "/api/service-accounts", {"name": "nightly", "client_id": "nightly"})
    # Two secrets, and the key that signs.
    account = await say(served, "POST", f"/api/service-accounts/{account['id']}/rotate-secret", {})
    await say(served, "POST", "/api/auth/token", {"client_id": "nightly", "client_secret": account["client_secret"]})
    wallet = await say(served, "POST", "/api/wallets", {"name": "lab", "credits": "1000.5"})
    await say(served, "POST", "/api/budgets", {"wallet_id": wallet["id"], "period": "month", "credits": "500"})
    made = await say(served, "POST", "/api/keys", {"name": "notebook", "wallet_id": wallet["id"]})
    old = await say(served, "POST", "/api/keys", {"name": "to be rotated"})
    # The older row points to the newer one.
    await say(served, "POST", f"/api/keys/{old['id']}/rotate", {})
    quota = {"subject": "key", "subject_id": made["id"], "limits": "1000/minute", "tokens": "100000/hour"}
    await say(served, "POST", "/api/quotas", quota)
    provider = {"name": "mine", "vendor": "openai", "api_key": "sk-secret-of-mine", "models": ["gpt-5"]}
    await say(served, "POST", "/api/providers", provider)
    await say(served, "PUT", "/api/aliases/fast", {"model_id": "sandbox/echo"})
    group = {"model_ids": ["sandbox/echo", "sandbox/reason"], "strategy": "weighted", "weights": {"sandbox/echo": 3}}
    await say(served, "PUT", "/api/groups/some", group)
    price = {"rates": {"input": "0.100", "output": "2"}}
    await say(served, "PUT", "/api/models/sandbox/echo/override", {"context_window": 9000, "price": price})
    for number in range(12):
        await call(served, made["key"], f"call {number}")
    once = {"Authorization": f"Bearer {made['key']}", "Idempotency-Key": "once"}
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "once"}]}
    answer = await served.ask("POST", "/v1/chat/completions", body=json.dumps(body).encode(), headers=once)
    assert answer.status == 200
    await say(served, "PUT", "/admin/config/regex", {"pattern": "^Note.*$", "flags": "gm"})
    named = {"X_Admin_Token": ADMIN_TOKEN, "X_Filename": "kept.txt"}
    file = await say(served, "POST", "/api/files/upload?tags=kept", "the content of a file", **named)
    await say(served, "POST", f"/api/files/{file['file_id']}/links", {"ttl_s": 3600})
    prompt = {
        "namespace": "shop",
        "name": "greeting",
        "lang": "ru",
        "text": "Здравствуй, {{name}}",
        "make_default": True,
    }
    made_prompt = await say(served, "POST", "/v1/prompts", prompt)
    await say(served, "PUT", f"/v1/prompts/{made_prompt['id']}", {"text": "Привет, {{name}}"})
    await say(served, "PUT", f"/v1/prompts/{made_prompt['id']}/labels/production", {})
    await served.services.backups.new_recovery_phrase()
    await say(served, "POST", "/api/backups")
    await served.services.usage.flush()
    return str(made["key"])
