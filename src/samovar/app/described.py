"""One operation of a raw surface, as the OpenAPI document has it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from samovar.kernel.answer_cache import MAX_CACHE_TTL_S
from samovar.ports.problems import refusal

_ANSWER_HEADERS: Final[Mapping[str, str]] = {
    "x-request-id": "This request's id.",
    "x-samovar-call-id": "The call in the usage log.",
    "x-samovar-model": "The model that answered.",
    "x-samovar-provider": "The provider that answered.",
    "x-samovar-route": "Why this one.",
    "x-samovar-attempts": "How many were tried.",
    "x-samovar-cost-credits": "What the call is charged; `unknown` where no price is known and nobody pays.",
    "x-samovar-estimated": "`1` where the figures are our own guess.",
    "x-samovar-budget": "Where a budget of the wallet is nearly spent: `warned`; where it asks for cheaper models: `degrade`.",
    "x-samovar-overhead-ms": "What Samovar added to the provider's time.",
    "x-cache": "`HIT` or `MISS`, where an answer from memory was asked for.",
}
_CACHE_HEADERS: Final = (
    {
        "name": "X-Samovar-Cache",
        "in": "header",
        "description": "`1`: an answer from memory will do, and this one may be remembered; `0`: not, whatever the key says.",
        "schema": {"type": "string", "enum": ["0", "1"]},
    },
    {
        "name": "X-Samovar-Cache-Ttl",
        "in": "header",
        "description": "The same as `1`; seconds for which to remember it.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_CACHE_TTL_S},
    },
)


_EVENT: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "One server-sent event, if `stream` is true. `data` is JSON, or the dialect's own last word.",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}


_UNCHANGED: Final[dict[str, Any]] = {"description": "What `If-None-Match` names is still the answer."}


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. Without ``error`` its refusals are problem documents; ``form`` is its body as a form, where it takes one.
    ``is_ours`` takes the admin token too; ``also`` are types that only the control plane answers with; ``path`` describes
    parameters that ``parameters`` would only name, and ``headers`` those of an answer that is no call's; ``asks`` are headers of
    the request, of which those in ``must`` have to be there. Where it ``is_open`` nobody has to say who they
    are. ``status`` is that of a success; ``body`` describes a body that is no JSON, and ``contents`` answers that are none, by
    their statuses."""

    summary: str
    response: Any
    error: Any = None
    request: Any = None
    form: Mapping[str, Any] | None = None
    tag: str = "gateway"
    streams: bool = False
    parameters: tuple[str, ...] = ()
    path: Mapping[str, Mapping[str, Any]] = {}
    headers: Mapping[str, str] = {}
    also: tuple[Any, ...] = ()
    is_ours: bool = False
    is_open: bool = False
    query: Mapping[str, Mapping[str, Any]] = {}
    asks: Mapping[str, Mapping[str, Any]] = {}
    must: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (400, 401, 403, 404, 408, 409, 413, 422, 429, 502, 503, 504)
    status: int = 200
    body: Mapping[str, Any] | None = None
    contents: Mapping[int, Mapping[str, Any]] = {}

    def operation(self, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
        """The OpenAPI operation object."""
        content: dict[str, Any] = {}
        if self.response is not None:
            content["application/json"] = {"schema": schema_of[self.response]}
        if self.streams:
            content["text/event-stream"] = {"schema": _EVENT}
        named = _ANSWER_HEADERS if self.request else self.headers
        headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in named.items()}
        found: dict[str, Any] = {
            "summary": self.summary,
            "tags": [self.tag],
            "security": [] if self.is_open else [{"key": []}, *([{"APIKeyHeader": []}] if self.is_ours else [])],
            "responses": {**self._answers(content, headers), **self._refusals(schema_of)},
        }
        if self.body is not None:
            found["requestBody"] = {"required": True, "content": dict(self.body)}
        if self.request is not None:
            found["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema_of[self.request]}},
            }
            if self.form is not None:
                found["requestBody"]["content"]["multipart/form-data"] = {"schema": dict(self.form)}
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 512}}
            for name in self.parameters
        ]
        parameters += [
            {"name": name, "in": "path", "required": True, "schema": dict(schema)} for name, schema in self.path.items()
        ]
        if self.request is not None:
            parameters += [dict(header) for header in _CACHE_HEADERS]
        parameters += [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in self.query.items()]
        parameters += [
            {"name": name, "in": "header", "required": name in self.must, "schema": dict(schema)}
            for name, schema in self.asks.items()
        ]
        if parameters:
            found["parameters"] = parameters
        return found

    def _answers(self, content: Mapping[str, Any], headers: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        answers = self.contents or {self.status: content}
        return {
            str(status): {"description": "The answer.", "content": dict(one), "headers": dict(headers)}
            for status, one in answers.items()
        }

    def _refusals(self, schema_of: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
        if self.error is None:
            words = "Refused; `code` and `detail` say why."
            return {str(status): _UNCHANGED if status == 304 else refusal(words) for status in self.statuses}
        content = {"application/json": {"schema": schema_of[self.error]}}
        words = "Refused, in the vendor's error shape."
        return {str(status): {"description": words, "content": content} for status in self.statuses}
