"""What must be asked over the network, each within 5 s: Redis, our own port, the audit chain's copies, and the providers that
are configured."""

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Final

import msgspec

from samovar.adapters.http1 import Http1Transport
from samovar.adapters.system import SystemClock
from samovar.app.adapters import shared
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.cli.doctor.finding import Finding
from samovar.domains.catalog.model import ProviderInfo, ProviderSource
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.transport import ConnectFailed, HttpRequest, Timeouts, Transport, TransportFailure
from samovar.providers.vendors import VENDORS

_BOUND_S: Final = 5.0
_TIMEOUTS: Final = Timeouts(connect_s=_BOUND_S, first_byte_s=_BOUND_S, idle_s=_BOUND_S, total_s=_BOUND_S)
_MAX_BYTES: Final = 1 << 20


async def check_redis(settings: Settings) -> list[Finding]:
    """Whether it answers, where one is configured."""
    if not settings.redis_url:
        return [Finding.ok("redis", "none; cache, limits and events live in the process")]
    parts = shared(settings, clock=SystemClock(), observe=_unseen)
    assert parts.ping is not None
    assert parts.close is not None
    try:
        await parts.ping()
    except Unavailable as error:
        return [Finding.fail("redis", error.detail, "Start it, or mend SAMOVAR_REDIS_URL.")]
    finally:
        await parts.close()
    return [Finding.ok("redis", "answers")]


async def check_copies(settings: Settings) -> list[Finding]:
    """Whether the bucket for the audit chain's copies lets us in, where there is one. Nothing is written: it would stay."""
    check, url = "audit copies", settings.audit_copy_url
    if not url:
        return [Finding.ok(check, "none; only copies elsewhere show that a chain was cut off (SAMOVAR_AUDIT_COPY_URL)")]
    if url.startswith("file:"):
        return [Finding.ok(check, f"in {url}")]
    from samovar.adapters.objects import ObjectBlobs
    from samovar.app.audit import copy_access

    access = copy_access(settings)
    try:
        async with asyncio.timeout(_BOUND_S):
            # HEAD of what is not there would say the same of a bucket that is not.
            async for _ in ObjectBlobs(url, s3=access).list():
                break
    except (SamovarError, TimeoutError) as error:
        why = error.detail if isinstance(error, SamovarError) else f"does not answer within {_BOUND_S:g} s"
        remedy = "Mend SAMOVAR_AUDIT_COPY_URL, and SAMOVAR_AUDIT_COPY_ENDPOINT, _REGION, _ACCESS_KEY_ID and _SECRET_ACCESS_KEY."
        return [Finding.fail(check, f"{url}: {why}", remedy)]
    if settings.backup_access_key_id and access.access_key_id == settings.backup_access_key_id:
        remedy = "Give the copies SAMOVAR_AUDIT_COPY_ACCESS_KEY_ID and its secret: an account that may put and list, not delete."
        return [Finding.warn(check, f"{url} answers, to the account that also deletes old backups", remedy)]
    return [Finding.ok(check, f"{url} answers")]


async def check_port(settings: Settings) -> list[Finding]:
    """Whether we could listen, or already do."""
    if settings.port == 0:
        return [Finding.ok("port", "any free one")]
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return [await _who_listens(settings, where)]
        remedy = "Choose an address of this machine in SAMOVAR_HOST, and a port above 1023."
        return [Finding.fail("port", f"{where} cannot be listened on: {error.strerror}", remedy)]
    return [Finding.ok("port", f"{where} is free")]


async def _who_listens(settings: Settings, where: str) -> Finding:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    transport = Http1Transport()
    try:
        request = HttpRequest("GET", f"http://{host}:{settings.port}/about", [])
        async with transport.send(request, timeouts=_TIMEOUTS) as answer:
            about = msgspec.json.decode(await answer.read(max_bytes=_MAX_BYTES))
        if about["name"] == "samovar":
            return Finding.ok("port", f"a Samovar {about['version']} answers at {where}")
    except (TransportFailure, msgspec.DecodeError, KeyError, TypeError):
        pass  # Whatever it is, it is not ours.
    finally:
        await transport.close()
    return Finding.fail(
        "port", f"something else listens at {where}", "Stop it, or choose another port in SAMOVAR_PORT."
    )


async def check_providers(settings: Settings, providers: Sequence[ProviderInfo]) -> list[Finding]:
    """Keys, and whether the addresses answer; the built-in sandbox needs neither."""
    asked = [one for one in providers if one.enabled and one.source is not ProviderSource.SANDBOX]
    if not asked and settings.sandbox == "off":
        remedy = "Set a key, such as OPENAI_API_KEY, or run `samovar providers add`."
        return [Finding.warn("providers", "none configured, and the sandbox is off: nothing can answer", remedy)]
    if not asked:
        return [Finding.ok("providers", "none configured: the built-in sandbox answers, nothing leaves this machine")]
    # The way that calls take: with the proxy and the certificates of the settings.
    transport = Services(settings).outbound
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_provider(one, transport)) for one in asked]
    finally:
        await transport.close()
    return [task.result() for task in tasks]


async def _provider(provider: ProviderInfo, transport: Transport) -> Finding:
    check = f"provider {provider.name}"
    vendor = VENDORS.get(provider.vendor)
    if vendor is None:
        return Finding.fail(
            check, f"{provider.vendor!r} is no vendor that this version knows", "Remove it, or add it anew."
        )
    if vendor.needs_key and provider.key_hint is None:
        remedy = f"Set {vendor.key_env}, or add it with `samovar providers add`."
        return Finding.fail(check, "has no key", remedy)
    try:
        async with transport.send(HttpRequest("GET", provider.base_url, []), timeouts=_TIMEOUTS) as answer:
            # Without our key: any answer shows that the address is right, and tells nobody anything.
            said = f"{provider.base_url} answers (status {answer.status})"
    except ConnectFailed as error:
        remedy = "Check its address, this machine's network, and SAMOVAR_OUTBOUND_PROXY."
        return Finding.fail(check, f"{provider.base_url}: {error.detail}", remedy)
    except TransportFailure as error:
        return Finding.fail(
            check, f"{provider.base_url}: {error.detail} ({_BOUND_S:g} s)", "Check its address and network."
        )
    return Finding.ok(check, f"{said}; key {provider.key_hint or 'not needed'}")


def _unseen(operation: str, outcome: str) -> None:
    pass
