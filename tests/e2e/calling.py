"""Calls as the surfaces spell them, and what the usage log says of them."""

import http.client
import json
import sqlite3
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from tests.e2e.conftest import ADMIN_TOKEN, Running, Samovar

CHAT = "/v1/chat/completions"


@dataclass
class Way:
    """How a call goes: the caller's surface, the vendor's language, whole or streamed."""

    surface: str
    vendor: str
    stream: bool

    def __str__(self) -> str:
        return f"{self.surface} to {self.vendor}, {'stream' if self.stream else 'whole'}"


WAYS = [
    Way(surface, vendor, stream)
    for surface in ("openai", "anthropic")
    for vendor in ("openai", "anthropic")
    for stream in (False, True)
]
STREAMS = [way for way in WAYS if way.stream]
WHOLE = [way for way in WAYS if not way.stream]


def fresh(vendor: str) -> str:
    """A model that the sandbox stands in for and nobody called before: its breaker is its own."""
    return f"{vendor}/{'claude' if vendor == 'anthropic' else 'gpt'}-{uuid.uuid4().hex[:12]}"


@dataclass
class Outcome:
    """What the caller got, and when. ``request_id`` finds it in the usage log."""

    status: int
    text: str
    headers: dict[str, str]
    took_s: float
    request_id: str
    json: Any = None
    events: list[Any] = field(default_factory=list)

    @property
    def said(self) -> str:
        """The words of the answer, streamed or whole."""
        if self.json is not None:
            if "choices" in self.json:
                return str(self.json["choices"][0]["message"]["content"])
            return "".join(block.get("text", "") for block in self.json["content"])
        words = []
        for event in self.events:
            if event.get("choices"):
                words.append(event["choices"][0]["delta"].get("content") or "")
            elif event.get("type") == "content_block_delta":
                words.append(event["delta"].get("text", ""))
        return "".join(words)


def body_of(way: Way, text: str, model: str) -> dict[str, Any]:
    """The request in the surface's words."""
    body: dict[str, Any] = {"model": model, "max_tokens": 200, "messages": [{"role": "user", "content": text}]}
    if way.stream:
        body["stream"] = True
    return body


def call(samovar: Samovar, way: Way, text: str, *, model: str = "", **headers: str) -> Outcome:
    """Make the call and read its answer to the end."""
    path = "/v1/messages" if way.surface == "anthropic" else "/v1/chat/completions"
    request_id = uuid.uuid4().hex
    sent = {"Authorization": f"Bearer {samovar.key}", "X-Request-Id": request_id, **headers}
    began = time.monotonic()
    status, said, found = samovar.request("POST", path, body_of(way, text, model or fresh(way.vendor)), sent)
    took_s = time.monotonic() - began
    text = said if isinstance(said, str) else json.dumps(said)
    outcome = Outcome(status, text, found, took_s, request_id, None if isinstance(said, str) else said)
    if isinstance(said, str):
        lines = [line[6:] for line in said.splitlines() if line.startswith("data: ")]
        outcome.events = [json.loads(line) for line in lines if line != "[DONE]"]
    return outcome


def is_error_of(surface: str, body: Any) -> bool:
    """Whether an error has the surface's own shape."""
    if surface == "anthropic":
        return body["type"] == "error" and bool(body["error"]["type"]) and bool(body["error"]["message"])
    return {"message", "type", "param", "code"} <= set(body["error"]) and bool(body["error"]["message"])


@dataclass
class Said:
    """An answer as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cache(self) -> str | None:
        """Whether it came from memory, where it says so."""
        return self.headers.get("x-cache")

    @property
    def is_replay(self) -> bool:
        """Whether it is the first answer of its idempotency key, given again."""
        return self.headers.get("idempotent-replayed") == "true"

    @property
    def code(self) -> Any:
        """Of an error, in whichever shape."""
        found = json.loads(self.body)
        return found["code"] if "code" in found else found["error"]["code"]


def send(samovar: Samovar, path: str, body: Any, headers: dict[str, str], *, bearer: str = "") -> Said:
    """A request; on /api as the administrator, else with the key ``bearer`` or the first one."""
    place = urlsplit(samovar.url)
    link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    who = {"Authorization": f"Bearer {bearer or samovar.key}"}
    if path.startswith("/api"):
        who = {"X-Admin-Token": ADMIN_TOKEN}
    try:
        link.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **who, **headers})
        answer = link.getresponse()
        return Said(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        link.close()


def a_chat(text: str, *, model: str, **more: Any) -> dict[str, Any]:
    """The body of a chat in OpenAI's words."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def surfaces(*, chat: str, vectors: str) -> list[tuple[str, dict[str, Any]]]:
    """Every surface's path and a body for it, that asks ``chat`` or (for embeddings) ``vectors`` about TEXT."""
    said = [{"role": "user", "content": "TEXT"}]
    return [
        (CHAT, {"model": chat, "messages": said}),
        ("/v1/responses", {"model": chat, "input": "TEXT"}),
        ("/v1/messages", {"model": chat, "max_tokens": 50, "messages": said}),
        (
            f"/gemini/v1beta/models/{quote(chat, safe='')}:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "TEXT"}]}]},
        ),
        ("/v1/embeddings", {"model": vectors, "input": "TEXT"}),
    ]


def stats(sandbox: Running) -> Any:
    """What the provider counts."""
    place = urlsplit(sandbox.url)
    link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)
    link.request("GET", "/sandbox/stats")
    found = json.load(link.getresponse())
    link.close()
    return found


def until(condition: Any, *, within_s: float = 5.0) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def calls(sandbox: Running) -> int:
    """How many calls reached the provider."""
    found: int = stats(sandbox)["requests"]
    return found


def event_of(samovar: Samovar, request_id: str) -> dict[str, Any]:
    """The one row of the usage log for a call, as soon as it is written."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        rows = events_where(samovar, "request_id = ?", request_id)
        if rows:
            assert len(rows) == 1
            return rows[0]
        time.sleep(0.05)
    raise AssertionError(f"no usage event of {request_id}")


def events_where(samovar: Samovar, condition: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of the usage log."""
    connection = sqlite3.connect(samovar.data_dir / "samovar.db")
    try:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(f"SELECT * FROM usage_events WHERE {condition}", values).fetchall()
        return [dict(row) for row in rows]
    finally:
        connection.close()
