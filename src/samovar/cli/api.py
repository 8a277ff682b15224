"""How the commands that administer reach an installation: always as its HTTP API, by one of two ways.

* With ``--url`` (or ``SAMOVAR_URL``): over the network, to a server that runs, with the admin token or a key.
* Without: the same app, inside this process, on the installation's own database. No server needs to run; one that does
  hears of the change at once over Redis, and within 10 s without it. Whoever may read the data directory and its
  master key is the administrator anyway, so this way asks for no token: it makes one up that lives as long as the command.

Both ways end in the same routes, so a command has one meaning, one set of rules and one kind of error.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import msgspec
from pydantic import SecretStr

from samovar.adapters.http1 import Http1Transport
from samovar.adapters.system import SystemClock, SystemIds
from samovar.app.settings import Settings, load
from samovar.cli.output import CannotDo, note
from samovar.ports.asgi import Message
from samovar.ports.transport import ConnectFailed, HttpRequest, Timeouts, Transport, TransportFailure

_T = TypeVar("_T")
Headers: TypeAlias = Sequence[tuple[str, str]]

_MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
_PAGE: Final = 100
_TOKEN_BYTES: Final = 32
_TIMEOUTS: Final = Timeouts(connect_s=5, first_byte_s=60, idle_s=60, total_s=90)
# For what is as long as it is.
_LONG: Final = Timeouts(connect_s=5, first_byte_s=60, idle_s=60)


class Credential(msgspec.Struct, frozen=True):
    """The header that signs a request."""

    header: str
    value: str

    def __repr__(self) -> str:
        return f"Credential({self.header!r})"

    @classmethod
    def admin_token(cls, token: str) -> "Credential":
        """The installation's administrator."""
        return cls("x-admin-token", token)

    @classmethod
    def key(cls, key: str) -> "Credential":
        """A gateway key."""
        return cls("authorization", f"Bearer {key}")


class Api(Protocol):
    """``/api`` of an installation."""

    async def exchange(self, method: str, path: str, body: bytes, headers: Headers = ()) -> tuple[int, bytes]:
        """Status and body of the answer; ``headers`` go with those that every request has. Raises :class:`CannotDo` where there
        is none."""
        ...


class RemoteApi:
    """A server that runs somewhere."""

    def __init__(self, *, url: str, credential: Credential, transport: Transport) -> None:
        self._url = url.rstrip("/")
        self._credential = credential
        self._transport = transport

    async def exchange(self, method: str, path: str, body: bytes, headers: Headers = ()) -> tuple[int, bytes]:
        """See :class:`Api`."""
        sent = [(self._credential.header, self._credential.value), *_typed(headers)]
        request = HttpRequest(method, self._url + path, sent, body)
        try:
            async with self._transport.send(request, timeouts=_TIMEOUTS) as answer:
                return answer.status, await answer.read(max_bytes=_MAX_ANSWER_BYTES)
        except ConnectFailed as error:
            raise CannotDo(
                f"no Samovar answers at {self._url}: start one with `samovar serve`, or say where it is with --url"
            ) from error
        except TransportFailure as error:
            raise CannotDo(f"{self._url} did not give a whole answer in time; try again, or look at its log") from error


class LocalApi:
    """The app of this very process."""

    def __init__(self, *, app: Any, credential: Credential) -> None:
        self._app = app
        self._credential = credential

    async def exchange(self, method: str, path: str, body: bytes, headers: Headers = ()) -> tuple[int, bytes]:
        """See :class:`Api`."""
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [
                (self._credential.header.encode(), self._credential.value.encode()),
                (b"content-length", b"%d" % len(body)),
                *((name.encode(), value.encode()) for name, value in _typed(headers)),
            ],
            "client": None,
            "server": None,
        }
        status, blocks, is_asked = 0, [], False

        async def receive() -> Message:
            nonlocal is_asked
            if is_asked:
                # Who streams an answer waits here for its caller to leave, which this one does not.
                await asyncio.get_running_loop().create_future()
            is_asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            blocks.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, b"".join(blocks)


def _typed(headers: Headers) -> Headers:
    """JSON, where nothing else is said."""
    is_said = any(name == "content-type" for name, _ in headers)
    return headers if is_said else [("content-type", "application/json"), *headers]


async def ask(api: Api, method: str, path: str, body: Any = None) -> Any:
    """The answer's JSON, ``None`` where it has none. Raises :class:`CannotDo` with what the API says of a refusal."""
    return answer_of(
        method, path, *await api.exchange(method, path, b"" if body is None else msgspec.json.encode(body))
    )


async def send(api: Api, method: str, path: str, raw: bytes, headers: Headers = ()) -> Any:
    """As :func:`ask`, of a body that is bytes already."""
    return answer_of(method, path, *await api.exchange(method, path, raw, headers))


async def fetch(api: Api, path: str) -> bytes:
    """The bytes at a path. Raises :class:`CannotDo` with what the API says of a refusal."""
    status, raw = await api.exchange("GET", path, b"")
    return raw if status < 400 else answer_of("GET", path, status, raw)


def answer_of(method: str, path: str, status: int, raw: bytes) -> Any:
    """The JSON of an answer, ``None`` where it has none. Raises :class:`CannotDo` with what the API says of a refusal."""
    try:
        answer = msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError as error:
        raise CannotDo(f"what answers {method} {path} with status {status} is no Samovar") from error
    if status < 400:
        return answer
    raise CannotDo(_refusal(status, answer))


async def ask_all(api: Api, path: str) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    cursor = None
    while True:
        after = f"&cursor={cursor}" if cursor else ""
        page = await ask(api, "GET", f"{path}{'&' if '?' in path else '?'}limit={_PAGE}{after}")
        items.extend(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def _refusal(status: int, answer: Any) -> str:
    if not isinstance(answer, dict):
        return f"it answered with status {status}"
    said = answer.get("detail") or answer.get("title") or f"status {status}"
    flaws = [f"\n  - {flaw.get('where')}: {flaw.get('what')}" for flaw in answer.get("errors") or ()]
    return str(said) + "".join(flaws)


def reach(
    work: Callable[[Api], Awaitable[_T]],
    *,
    url: str | None,
    credential: Credential | None,
    also_roles: tuple[str, ...] = (),
    also_jobs: tuple[str, ...] = (),
) -> _T:
    """What ``work`` gives on the API that the options name; ``also_roles`` are those that answer beside the usual ones where that
    is this very process, ``also_jobs`` the kinds of jobs that it runs then. Raises :class:`CannotDo`, ``SettingsInvalid`` and,
    on this installation itself, what starting it raises."""

    async def run() -> _T | CannotDo:
        async with opened(load(), url=url, credential=credential, also_roles=also_roles, also_jobs=also_jobs) as api:
            try:
                return await work(api)
            except CannotDo as error:
                # Handed out, not raised through: the app's background tasks would wrap it in a group.
                return error

    outcome = asyncio.run(run())
    if isinstance(outcome, CannotDo):
        raise outcome
    return outcome


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    url: str | None,
    credential: Credential | None,
    also_roles: tuple[str, ...] = (),
    also_jobs: tuple[str, ...] = (),
) -> AsyncIterator[Api]:
    """The API at ``url``, or this installation's own. Raises :class:`CannotDo`, and what starting an app raises."""
    if url is None:
        async with _local(settings, also_roles, also_jobs) as api:
            yield api
        return
    credential = _signed(settings, url, credential)
    ca_pem = None if settings.ca_file is None else settings.ca_file.read_bytes()
    transport = Http1Transport(ca_pem=ca_pem)
    try:
        yield RemoteApi(url=url, credential=credential, transport=transport)
    finally:
        await transport.close()


def _signed(settings: Settings, url: str, credential: Credential | None) -> Credential:
    if credential is None and settings.admin_token is not None:
        return Credential.admin_token(settings.admin_token.get_secret_value())
    if credential is None:
        raise CannotDo(f"{url} wants to know who you are: give --admin-token, or set ADMIN_TOKEN")
    return credential


@asynccontextmanager
async def remote_answer(
    settings: Settings, url: str, credential: Credential | None, path: str
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body of a GET, in pieces, however long it is. Raises :class:`CannotDo`."""
    signed = _signed(settings, url, credential)
    transport = Http1Transport(ca_pem=None if settings.ca_file is None else settings.ca_file.read_bytes())
    request = HttpRequest("GET", url.rstrip("/") + path, [(signed.header, signed.value)], b"")
    try:
        async with transport.send(request, timeouts=_LONG) as answer:
            if answer.status >= 400:
                said = await answer.read(max_bytes=_MAX_ANSWER_BYTES)
                answer_of("GET", path, answer.status, said)
            yield answer.blocks()
    except TransportFailure as error:
        raise CannotDo(f"{url} did not give a whole answer; try again, or look at its log") from error
    finally:
        await transport.close()


@asynccontextmanager
async def _local(settings: Settings, also_roles: tuple[str, ...], also_jobs: tuple[str, ...]) -> AsyncIterator[Api]:
    from samovar.app.application import edge_of
    from samovar.app.services import Services
    from samovar.app.telemetry import logs
    from samovar.app.upkeep import migrated

    logs.configure(json=False, level="error")
    if settings.auto_migrate:
        await migrated(settings)
    token = SystemIds(clock=SystemClock()).token(_TOKEN_BYTES)
    # All that answers, whatever the server's processes are; of jobs it runs what its command waits for, for it soon ends. The
    # token is never stored.
    own = {"roles": ("gateway", "admin", *also_roles), "workers": 1, "admin_token": SecretStr(token)}
    services = Services(settings.model_copy(update=own))
    try:
        first = await services.prepare()
    except BaseException:
        await services.database.close()
        raise
    if first is not None and first.key is not None:
        note(f"A new installation, in {settings.data_dir}. Its first key, shown once: {first.key.secret}")
    async with services.running(), services.jobs.running_only(also_jobs):
        yield LocalApi(app=edge_of(services), credential=Credential.admin_token(token))
