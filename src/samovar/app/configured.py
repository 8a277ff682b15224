"""Providers that the installation brings itself: those of the environment, and the built-in sandbox."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from samovar.app.settings import Settings
from samovar.domains.catalog.model import ApiKey, Provider, ProviderSource
from samovar.domains.identity.model import DEFAULT_TEAM_ID
from samovar.ports.dialect import Vendor
from samovar.providers.sandbox import Keeping, SandboxServer

SANDBOX_MODELS: Final = ("echo", "vision", "reason", "tools", "embed")


class EmbeddedSandbox:
    """The sandbox inside this process. Its socket is bound when this is made: the catalogue, which names the port, is made
    before the event loop runs."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=4096)

    @property
    def base_url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve inside this block."""
        # Its journal would show prompts to whoever is on this machine: it keeps none here.
        server = SandboxServer(keeping=Keeping(requests=0, body_bytes=0))
        await server.start(listening=self._socket)
        try:
            yield
        finally:
            await server.close()


def wants_sandbox(settings: Settings) -> bool:
    """``auto``: where no vendor is configured by the environment."""
    if settings.sandbox == "auto":
        return not settings.provider_keys and not settings.provider_base_urls
    return settings.sandbox == "on"


def configured_providers(
    settings: Settings, vendors: Mapping[str, Vendor], sandbox: EmbeddedSandbox | None
) -> list[Provider]:
    """A provider for each vendor with a key or an address in the environment, and one for the sandbox."""
    keys, urls = settings.provider_keys, settings.provider_base_urls
    # Several keys of one vendor stand in one variable, with commas between: they take turns.
    pools = {
        name: tuple(ApiKey(part.strip()) for part in secret.get_secret_value().split(",") if part.strip())
        for name, secret in keys.items()
    }
    found = [
        Provider(
            id=f"environment-{name}",
            team_id=DEFAULT_TEAM_ID,
            name=name,
            vendor=name,
            base_url=urls.get(name, vendor.base_url).rstrip("/"),
            api_key=pools[name][0] if name in pools else None,
            spare_keys=pools[name][1:] if name in pools else (),
            source=ProviderSource.ENVIRONMENT,
        )
        for name, vendor in vendors.items()
        if name in keys or name in urls
    ]
    if sandbox is not None:
        found.append(
            Provider(
                id="sandbox",
                team_id=DEFAULT_TEAM_ID,
                name="sandbox",
                vendor="sandbox",
                base_url=sandbox.base_url,
                api_key=ApiKey("sk-sandbox-built-in"),
                source=ProviderSource.SANDBOX,
                models=SANDBOX_MODELS,
            )
        )
    return found
