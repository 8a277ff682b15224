"""A key with a wallet on a running Samovar, its calls on every surface, and what the books say of them."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from samovar.kernel.money import nano_usd_of_credits
from tests.e2e.conftest import Samovar
from tests.support.callers import Heard, post

SURFACES = ("chat", "responses", "messages", "gemini")
CREDIT = 10_000_000


@dataclass(frozen=True)
class Figures:
    """A wallet in nano-dollars."""

    balance: int
    held: int
    spent: int


@dataclass(frozen=True)
class Customer:
    """A key and the wallet it pays from."""

    samovar: Samovar
    key: str
    key_id: str
    wallet_id: str

    def at(self, samovar: Samovar) -> "Customer":
        """The same customer at another process."""
        return Customer(samovar, self.key, self.key_id, self.wallet_id)

    async def ask(
        self, surface: str, text: str, *, model: str, stream: bool = False, most: int | None = 200, **more: Any
    ) -> Heard:
        """A call with a request id of its own."""
        path, body = asked(surface, text, model=model, stream=stream, most=most)
        sent = {"Authorization": f"Bearer {self.key}", "X-Request-Id": uuid.uuid4().hex, "X-Samovar-Usage": "1"}
        return await post(self.samovar.url + path, {**body, **more}, sent)

    async def wallet(self) -> Figures:
        """What the wallet has now. All that this process noted stands in the ledger then."""
        status, found, _ = await asyncio.to_thread(self.samovar.request, "GET", f"/api/wallets/{self.wallet_id}")
        assert status == 200, found
        return Figures(*(nano_usd_of_credits(found[name]) for name in ("balance", "held", "spent")))

    async def charges(self) -> dict[str, dict[str, Any]]:
        """The ledger's charges by their call's id. That one call has two rows is a failure."""
        return await asyncio.to_thread(self._charges)

    def _charges(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        cursor = ""
        while True:
            status, page, _ = self.samovar.request("GET", f"/api/ledger?wallet={self.wallet_id}&limit=100{cursor}")
            assert status == 200, page
            for row in page["items"]:
                if row["kind"] == "charge":
                    assert row["id"] not in found, row
                    found[row["id"]] = row
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def check(self) -> list[Any]:
        """What in the books does not agree with the ledger."""
        status, found, _ = await asyncio.to_thread(self.samovar.request, "GET", "/api/ledger/check")
        assert status == 200, found
        return list(found["differences"])


def customer(samovar: Samovar, *, credits: str = "100", **fields: Any) -> Customer:
    """A new key with a new wallet."""
    status, wallet, _ = samovar.request("POST", "/api/wallets", {"name": "w", "credits": credits, **fields})
    assert status == 201, wallet
    status, key, _ = samovar.request("POST", "/api/keys", {"name": "k", "wallet_id": wallet["id"]})
    assert status == 201, key
    return Customer(samovar, key["key"], key["id"], wallet["id"])


def asked(
    surface: str, text: str, *, model: str, stream: bool = False, most: int | None = 200
) -> tuple[str, dict[str, Any]]:
    """The path and the body of a call; ``most`` are the tokens the answer may have."""
    message = {"role": "user", "content": text}
    if surface == "gemini":
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        if most is not None:
            body["generationConfig"] = {"maxOutputTokens": most}
        return f"/gemini/v1beta/models/{model}:{action}", body
    if surface == "embeddings":
        return "/v1/embeddings", {"model": model, "input": text}
    path, field, said = {
        "chat": ("/v1/chat/completions", "max_tokens", {"messages": [message]}),
        "responses": ("/v1/responses", "max_output_tokens", {"input": text}),
        "messages": ("/v1/messages", "max_tokens", {"messages": [message]}),
    }[surface]
    body = {"model": model, "stream": stream, **said}
    return path, body if most is None else {**body, field: most}


def told_cost(heard: Heard) -> int:
    """The cost that a caller was told, in nano-dollars: in a header, or at a stream's end."""
    said = heard.headers.get("x-samovar-cost-credits")
    if said is None:
        told = [event["samovar"] for event in heard.events if "samovar" in event]
        assert len(told) == 1, heard.body
        said = told[0]["cost_credits"]
    return nano_usd_of_credits(said)


def cost_of(row: dict[str, Any]) -> int:
    """What a row of the ledger moved, in nano-dollars."""
    return nano_usd_of_credits(row["credits"])


def price(samovar: Samovar, model: str, *, most_output: int | None = None, **rates: str) -> str:
    """Set a model's price: dollars for a million tokens, or for a request. Gives the model's id back."""
    body = {"price": {"rates": rates}, "max_output_tokens": most_output}
    status, made, _ = samovar.request("PUT", f"/api/models/{model}/override", body)
    assert status in (200, 201), made
    return model


async def until(condition: Callable[[], Any], *, within_s: float = 15.0) -> bool:
    """Whether it comes true in time; the condition may be awaitable."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found or time.monotonic() > deadline:
            return bool(found)
        await asyncio.sleep(0.05)


async def leave(payer: Customer, surface: str, text: str, *, model: str, after_words: int) -> str:
    """Begin a stream and leave it after so many events; the call's id."""
    path, body = asked(surface, text, model=model, stream=True)
    raw = json.dumps(body).encode()
    place = urlsplit(payer.samovar.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {payer.key}\r\nContent-Length: {len(raw)}\r\n\r\n"
    writer.write(head.encode() + raw)
    got = b""
    async with asyncio.timeout(20):
        while got.count(b"data:") < after_words:
            got += await reader.read(200)
    writer.transport.abort()
    found = re.search(rb"x-samovar-call-id: (\S+)", got)
    assert found is not None, got
    return found[1].decode()
