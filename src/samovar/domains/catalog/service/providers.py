"""An admin's use cases about providers. Keys go in and never come out: answers carry a hint."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from samovar.domains.catalog import store
from samovar.domains.catalog.errors import (
    BadCatalogEntry,
    CatalogFull,
    DiscoveryFailed,
    NameTaken,
    ProviderInUse,
    ProviderNotFound,
    ProviderReadOnly,
)
from samovar.domains.catalog.model import (
    PROVIDER_NAME,
    ApiKey,
    Provider,
    ProviderInfo,
    is_model_name,
)
from samovar.domains.catalog.service.live import LiveCatalogs
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Flaw, StaleRevision
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx
from samovar.ports.dialect import Vendor
from samovar.ports.transport import HttpRequest, Timeouts, Transport

MAX_PROVIDER_MODELS: Final = 2000
MAX_KEY_CHARS: Final = 4096
MAX_KEYS: Final = 20
MAX_URL_CHARS: Final = 512
_MAX_LIST_BYTES: Final = 8 * 1024 * 1024
_LIST_TIMEOUTS: Final = Timeouts(connect_s=10, first_byte_s=20, idle_s=20, total_s=30)

Changing: TypeAlias = Callable[[str], AbstractAsyncContextManager[Tx]]


class ProviderChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; what is unset stays. ``base_url=None`` is the vendor's own, ``api_keys=()`` forgets the keys,
    ``models=None`` lists whatever the vendor has."""

    base_url: str | UnsetType | None = UNSET
    api_keys: tuple[str, ...] | UnsetType = UNSET
    models: tuple[str, ...] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class _Listed(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    """OpenAI's and Anthropic's ``GET /models``."""

    data: list[_Listed]


class Providers:
    """Part of :class:`~samovar.domains.catalog.service.CatalogService`."""

    def __init__(
        self,
        *,
        database: Database,
        live: LiveCatalogs,
        changing: Changing,
        ids: Ids,
        clock: Clock,
        transport: Transport,
        vendors: Mapping[str, Vendor],
    ) -> None:
        self._database = database
        self._live = live
        self._changing = changing
        self._ids = ids
        self._clock = clock
        self._transport = transport
        self._vendors = vendors

    async def list(self, principal: Principal) -> Sequence[ProviderInfo]:
        """All of the team's, by name; of two with one name the admin's, which is the one that is used."""
        require(principal, Permission.PROVIDERS_READ)
        async with self._database.reading() as tx:
            stored = await store.team_providers(tx, principal.team_id)
        found = {provider.name: provider for provider in self._live.configured(principal.team_id)}
        found |= {one.provider.name: self._live.opened(one) or one.provider for one in stored}
        return [ProviderInfo.of(found[name]) for name in sorted(found)]

    async def get(self, principal: Principal, provider_id: str) -> ProviderInfo:
        """One provider. Raises :class:`ProviderNotFound`."""
        require(principal, Permission.PROVIDERS_READ)
        return ProviderInfo.of(await self._find(principal.team_id, provider_id))

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        vendor: str,
        base_url: str | None = None,
        api_keys: tuple[str, ...] = (),
        models: tuple[str, ...] | None = None,
        enabled: bool = True,
    ) -> ProviderInfo:
        """Add a provider. Raises :class:`BadCatalogEntry`, :class:`NameTaken`, :class:`CatalogFull`."""
        require(principal, Permission.PROVIDERS_WRITE)
        known = self._vendors.get(vendor)
        made = Provider(
            id=self._ids.new("prov"),
            team_id=principal.team_id,
            name=name,
            vendor=vendor,
            base_url=base_url or ("" if known is None else known.base_url),
            api_key=ApiKey(api_keys[0]) if api_keys else None,
            spare_keys=tuple(ApiKey(key) for key in api_keys[1:]),
            models=models,
            enabled=enabled,
        )
        self._check(made)
        async with self._changing(principal.team_id) as tx:
            others = await store.team_providers(tx, principal.team_id)
            if any(other.provider.name == name for other in others):
                raise NameTaken(f"There is a provider {name!r} already: change that one or choose another name.")
            if len(others) >= store.MAX_PROVIDERS:
                raise CatalogFull(f"A team has at most {store.MAX_PROVIDERS} providers.")
            await store.add_provider(tx, self._live.seal_key(made), at=self._clock.now())
        return ProviderInfo.of(made)

    async def change(
        self, principal: Principal, provider_id: str, change: ProviderChange, *, expected: int | None = None
    ) -> ProviderInfo:
        """Change a provider. Raises what :meth:`create` does, :class:`ProviderNotFound`, :class:`ProviderReadOnly` and,
        where ``expected`` is not its revision, :class:`StaleRevision`."""
        require(principal, Permission.PROVIDERS_WRITE)
        self._check_writable(principal.team_id, provider_id)
        async with self._changing(principal.team_id) as tx:
            stored = await store.provider(tx, principal.team_id, provider_id)
            if stored is None:
                raise ProviderNotFound(f"There is no provider {provider_id!r}.")
            # A key that does not open is mended by sending another.
            old = stored.provider if change.api_keys is not UNSET else self._live.open_key(stored)
            if expected is not None and expected != old.revision:
                raise StaleRevision(current=old.revision)
            new = self._changed(old, change)
            self._check(new)
            await store.change_provider(tx, self._live.seal_key(new), at=self._clock.now())
        return ProviderInfo.of(new)

    async def delete(self, principal: Principal, provider_id: str) -> None:
        """Delete a provider and its key. Raises :class:`ProviderNotFound`, :class:`ProviderReadOnly`, and
        :class:`ProviderInUse` while an alias or a group names a model of it, unless a configured provider of that name takes
        its place."""
        require(principal, Permission.PROVIDERS_WRITE)
        self._check_writable(principal.team_id, provider_id)
        async with self._changing(principal.team_id) as tx:
            stored = await store.provider(tx, principal.team_id, provider_id)
            if stored is None:
                raise ProviderNotFound(f"There is no provider {provider_id!r}.")
            await self._check_unused(tx, stored.provider)
            await store.drop_provider(tx, principal.team_id, provider_id)

    async def _check_unused(self, tx: Tx, provider: Provider) -> None:
        if any(other.name == provider.name for other in self._live.configured(provider.team_id)):
            return
        start = f"{provider.name}/"
        aliases = await store.aliases(tx, provider.team_id)
        groups = await store.groups(tx, provider.team_id)
        names = [f"alias {alias.name!r}" for alias in aliases if alias.model_id.startswith(start)]
        names += [f"group {group.name!r}" for group in groups if any(one.startswith(start) for one in group.model_ids)]
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            raise ProviderInUse(
                f"Models of {provider.name!r} are named by {', '.join(names[:10])}{more}: change or delete those first, or"
                " switch the provider off instead (enabled: false)."
            )

    async def discover(self, principal: Principal, provider_id: str) -> Sequence[str]:
        """The names that the provider itself lists, sorted; nothing is stored. Raises :class:`DiscoveryFailed` and
        ``TransportFailure``."""
        require(principal, Permission.PROVIDERS_WRITE)
        provider = await self._find(principal.team_id, provider_id)
        vendor = self._vendors.get(provider.vendor)
        if vendor is None:
            raise DiscoveryFailed(f"{provider.vendor!r} is not a vendor that this version of Samovar knows.")
        headers = [("accept", "application/json"), *vendor.headers]
        if provider.api_key is not None:
            headers.append((vendor.key_header, vendor.key_prefix + provider.api_key.reveal()))
        request = HttpRequest("GET", provider.base_url.rstrip("/") + models_path(vendor), headers)
        async with self._transport.send(request, timeouts=_LIST_TIMEOUTS) as answer:
            body = await answer.read(max_bytes=_MAX_LIST_BYTES)
            if answer.status != 200:
                raise DiscoveryFailed(
                    f"{provider.name} answered with status {answer.status} when asked for its models."
                )
        try:
            listed = msgspec.json.decode(body, type=_ModelList).data
        except (msgspec.DecodeError, RecursionError) as error:
            raise DiscoveryFailed(f"{provider.name} did not answer with a list of models: {error}.") from error
        names = {one.id for one in listed if is_model_name(one.id)}
        return sorted(names)[:MAX_PROVIDER_MODELS]

    async def _find(self, team_id: str, provider_id: str) -> Provider:
        for provider in self._live.configured(team_id):
            if provider.id == provider_id:
                return provider
        async with self._database.reading() as tx:
            stored = await store.provider(tx, team_id, provider_id)
        if stored is None:
            raise ProviderNotFound(f"There is no provider {provider_id!r}.")
        return self._live.open_key(stored)

    def _check_writable(self, team_id: str, provider_id: str) -> None:
        for provider in self._live.configured(team_id):
            if provider.id == provider_id:
                raise ProviderReadOnly(
                    f"The provider {provider.name!r} comes from the {provider.source.value}: change it there, or add one "
                    "of the same name here, which then takes its place."
                )

    def _changed(self, old: Provider, change: ProviderChange) -> Provider:
        keys, base_url = old.api_keys, change.base_url
        if change.api_keys is not UNSET:
            keys = tuple(ApiKey(key) for key in change.api_keys)
        if base_url is None:
            vendor = self._vendors.get(old.vendor)
            base_url = "" if vendor is None else vendor.base_url
        new = msgspec.structs.replace(
            old,
            base_url=old.base_url if base_url is UNSET else base_url,
            api_key=keys[0] if keys else None,
            spare_keys=keys[1:],
            models=old.models if change.models is UNSET else change.models,
            enabled=old.enabled if change.enabled is UNSET else change.enabled,
            revision=old.revision + 1,
        )
        # Whoever may edit a provider may not read its key; sending it to another server would be reading it.
        if keys and change.api_keys is UNSET and _origin(new.base_url) != _origin(old.base_url):
            flaw = Flaw("api_key", "must be sent again when base_url moves to another server")
            raise BadCatalogEntry(f"{flaw.where}: {flaw.what}", flaws=[flaw])
        return new

    def _check(self, provider: Provider) -> None:
        flaws = [*_name_flaws(provider), *_model_flaws(provider), *_key_flaws(provider)]
        vendor = self._vendors.get(provider.vendor)
        if vendor is None:
            flaws.append(Flaw("vendor", f"must be one of {', '.join(sorted(self._vendors))}"))
        elif vendor.needs_key and provider.api_key is None:
            flaws.append(Flaw("api_key", f"{vendor.title} needs one"))
        if vendor is not None or provider.base_url:
            flaws += _url_flaws(provider.base_url)
        if flaws:
            raise BadCatalogEntry("; ".join(f"{flaw.where}: {flaw.what}" for flaw in flaws), flaws=flaws)


def models_path(vendor: Vendor) -> str:
    """Where a vendor lists its models: beside its calls (``/v1/messages`` has ``/v1/models``)."""
    path = next(iter(vendor.paths.values()), "")
    return "/v1/models" if path.startswith("/v1/") else "/models"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    parts = _split(url)
    return None if parts is None else (parts.scheme, parts.hostname, parts.port)


def _name_flaws(provider: Provider) -> list[Flaw]:
    if PROVIDER_NAME.fullmatch(provider.name):
        return []
    return [
        Flaw(
            "name", "must be lower-case letters, digits, '.', '_' and '-', at most 63, and begin with a letter or digit"
        )
    ]


def _url_flaws(url: str) -> list[Flaw]:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or len(url) > MAX_URL_CHARS:
        return [Flaw("base_url", f"must be an http or https URL of at most {MAX_URL_CHARS} characters")]
    if parts.username is not None or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
        return [Flaw("base_url", "must have no user name, query or fragment, and be plain ASCII")]
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return []
    # Local servers are welcome (Ollama); the cloud's metadata service, which lives on a link-local address, is not.
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return [Flaw("base_url", f"{address} is no address of a provider")]
    return []


def _model_flaws(provider: Provider) -> list[Flaw]:
    models = provider.models or ()
    if len(models) > MAX_PROVIDER_MODELS or len(set(models)) != len(models):
        return [Flaw("models", f"must be at most {MAX_PROVIDER_MODELS} names, each once")]
    return [
        Flaw(f"models[{place}]", "must be printable ASCII without spaces, at most 256 characters")
        for place, name in enumerate(models)
        if not is_model_name(name)
    ][:10]


def _key_flaws(provider: Provider) -> list[Flaw]:
    keys = provider.api_keys
    if len(keys) > MAX_KEYS or len(set(keys)) != len(keys):
        return [Flaw("api_keys", f"must be at most {MAX_KEYS} keys, each once")]
    if all(_is_key(key.reveal()) for key in keys):
        return []
    return [Flaw("api_key", f"must be printable ASCII without spaces, 1 to {MAX_KEY_CHARS} characters")]


def _is_key(text: str) -> bool:
    # It goes into a header: a line end in it would be a header of its own.
    return bool(text) and len(text) <= MAX_KEY_CHARS and text.isascii() and text.isprintable() and " " not in text
