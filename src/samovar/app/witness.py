"""The witness: sees the answer of each request in the audit table, and has it recorded before it goes out."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
import structlog

from samovar.app.audited import Act, table
from samovar.app.telemetry.redaction import is_secret_name, redact_text
from samovar.domains.audit.errors import AuditUnwritten
from samovar.domains.audit.model import Entry, Result
from samovar.domains.audit.service import AuditService
from samovar.kernel.principal import Principal
from samovar.ports.asgi import CALLER, MADE, REQUEST_ID, Message, Receive, Route, Scope, Send

log = structlog.get_logger("samovar.audit")

SERVICE: Final = "control-plane"
"""The ``service`` of the records made here."""

REQUEST_BODY: Final = "samovar.request_body"
"""Stands in the scope of a request of the control plane that has one, whole."""

_DENIED: Final = frozenset({401, 403})
# A request over its limit is not looked at: nothing was tried, and whoever floods us shall not fill the chain.
_UNTRIED: Final = 429
_MAX_PARSED_BYTES: Final = 1024 * 1024
_WHITE: Final = b" \t\r\n"
_MAX_VALUE_CHARS: Final = 200
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_MAX_FIELDS: Final = 20
_REPLAYED: Final = b"idempotent-replayed"


class Witness:
    """Watches requests of the control plane. ``audit`` is asked for when the first one is recorded."""

    def __init__(self, audit: Callable[[], AuditService]) -> None:
        self._audit = audit
        self._acts = dict(table())

    def watch(self, scope: Scope, send: Send) -> "Watch":
        """One request; its answer goes through the :class:`Watch`."""
        return Watch(self, scope, send)

    def around(self, route: Route) -> Route:
        """A raw route, watched where it stands in the table. Its endpoint says who is asking: in the scope, as ``CALLER``."""
        act = self._acts.get((route.method, route.template))
        if act is None:
            return route
        endpoint = route.endpoint

        async def watched(scope: Scope, receive: Receive, send: Send) -> int:
            watch = Watch(self, scope, send, act)
            try:
                return await endpoint(scope, receive, watch.send)
            finally:
                watch.close()

        return route._replace(endpoint=watched)

    def act_of(self, scope: Scope) -> Act | None:
        """The row of the control plane's route that took the request."""
        path = getattr(scope.get("route"), "path", None)
        return None if path is None else self._acts.get((scope["method"], _template(path)))

    async def record(self, entry: Entry) -> None:
        """The answer waits for it, but is not turned into an error: what was done is done."""
        try:
            await self._audit().record(entry)
        except AuditUnwritten as error:
            _say_unwritten(entry, error)

    def submit(self, entry: Entry) -> None:
        """For whoever left: nobody waits."""
        try:
            self._audit().submit(entry)
        except AuditUnwritten as error:
            _say_unwritten(entry, error)

    def entry(self, act: Act, scope: Scope, *, result: Result, answer: Mapping[str, Any], **facts: object) -> Entry:
        """What is known of a request."""
        caller: Principal | None = scope.get(CALLER)
        client = scope.get("client")
        asked = _parsed(scope.get(REQUEST_BODY, b""))
        told = {name: _value(asked[name]) for name in act.facts if name in asked and not is_secret_name(name)}
        if fields := [name for name in sorted(asked) if _FIELD.fullmatch(name)][:_MAX_FIELDS]:
            told["fields"] = _value(fields)
        return self._audit().entry(
            service=SERVICE,
            action=act.action,
            user_id=caller.id if caller else None,
            resource=_resource(act.resource, {**answer, **_parameters(act, scope)}),
            result=result,
            metadata={
                **{f"asked_{name}": value for name, value in told.items()},
                "address": client[0] if client else None,
                "by": caller.kind.value if caller else None,
                **facts,
            },
            team_id=caller.team_id if caller else None,
            request_id=scope.get(REQUEST_ID),
        )


class Watch:
    """The way of one answer. Its head waits for the first piece of body: a thing that was made is named there."""

    def __init__(self, witness: Witness, scope: Scope, send: Send, act: Act | None = None) -> None:
        """``act`` is known of a raw route, and found in the scope of another."""
        self._witness = witness
        self._raw = act
        self._scope = scope
        self._send = send
        self._head: Message | None = None
        self._is_done = False

    async def send(self, message: Message) -> None:
        """ASGI's ``send``."""
        if self._is_done:
            return await self._send(message)
        if message["type"] == "http.response.start" and self._head is None:
            act = self._act()
            if act is not None and message["status"] != _UNTRIED:
                self._head = message
                return None
            self._is_done = True
            return await self._send(message)
        self._is_done = True
        head = self._head
        try:
            await self._record(message)
        except Exception:  # edge: a defect in telling of what was done must not hide the answer of it
            log.exception("what was done is not in the audit chain", asked_by=self._scope.get(REQUEST_ID))
        if head is not None:
            await self._send(head)
        return await self._send(message)

    def close(self) -> None:
        """The request is over. Where no answer was seen, its caller left first: what became of it is not known here."""
        if self._is_done:
            return
        self._is_done = True
        act = self._act()
        if act is not None:
            for one in self._scope.get(MADE, ()):
                self._tell_of(act, one, {})
            self._witness.submit(
                self._witness.entry(
                    act, self._scope, result=Result.FAILURE, answer={}, outcome="unknown: the caller left"
                )
            )

    def _act(self) -> Act | None:
        return self._raw or self._witness.act_of(self._scope)

    async def _record(self, message: Message) -> None:
        head, act = self._head, self._act()
        if head is None or act is None:
            return
        status = head["status"]
        answer = {} if message.get("more_body") else _parsed(message.get("body", b""))
        facts: dict[str, object] = {"status": status}
        if status >= 400 and isinstance(answer.get("code"), str):
            facts["code"] = answer["code"]
        if any(name == _REPLAYED for name, _ in head["headers"]):
            # The answer of an earlier request once more: nothing was done this time.
            facts["replayed"] = True
        result = Result.SUCCESS if status < 400 else Result.DENIED if status in _DENIED else Result.FAILURE
        made = self._scope.get(MADE, ())
        for one in made:
            self._tell_of(act, one, facts)
        if made and result is Result.SUCCESS:
            return
        entry = self._witness.entry(act, self._scope, result=result, answer=answer if status < 400 else {}, **facts)
        if act.waits:
            await self._witness.record(entry)
        else:
            self._witness.submit(entry)

    def _tell_of(self, act: Act, one: Mapping[str, Any], facts: Mapping[str, object]) -> None:
        """One of several things that a request made. It stands, however the request ends."""
        self._witness.submit(self._witness.entry(act, self._scope, result=Result.SUCCESS, answer=one, **facts))


@cache
def _template(path: str) -> str:
    """A route's path as ``openapi.json`` has it: without the converters."""
    return re.sub(r":[a-z]+\}", "}", path)


def _parameters(act: Act, scope: Scope) -> Mapping[str, Any]:
    """What the path names. The router knows; of a raw route the path itself is asked."""
    if "path_params" in scope:
        known: Mapping[str, Any] = scope["path_params"]
        return known
    found = re.fullmatch(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(act.path)), scope["path"])
    return found.groupdict() if found else {}


def _resource(template: str, known: Mapping[str, Any]) -> str:
    """``key:{id}`` filled in; just ``key`` where the id is not known."""
    kind, _, rest = template.partition(":")
    if not rest or any(name not in known for name in re.findall(r"\{(\w+)\}", rest)):
        return kind if "{" in rest else template
    filled = re.sub(r"\{(\w+)\}", lambda found: str(known[found[1]]), rest)
    return redact_text(f"{kind}:{filled}", max_chars=_MAX_VALUE_CHARS)


def _value(value: object) -> str | int | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return redact_text(", ".join(str(one) for one in value[:_MAX_FIELDS]), max_chars=_MAX_VALUE_CHARS)
    return redact_text(str(value), max_chars=_MAX_VALUE_CHARS)


def _parsed(body: bytes) -> Mapping[str, Any]:
    """The fields of a JSON object; none where it is something else."""
    # The router passes over white space too: nobody shall hide behind it what they asked for.
    body = body.strip(_WHITE)
    if not body.startswith(b"{") or len(body) > _MAX_PARSED_BYTES:
        return {}
    try:
        found: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}
    return found


def _say_unwritten(entry: Entry, error: AuditUnwritten) -> None:
    log.error(
        "what was done is not known to be in the audit chain",
        action=entry.action,
        resource=entry.resource,
        user_id=entry.user_id,
        result=entry.result.value,
        record=entry.id,
        reason=error.detail,
        asked_by=entry.request_id,
    )
