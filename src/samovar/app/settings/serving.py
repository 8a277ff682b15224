"""The settings of serving: addresses, the database, who may call and how long what may take. :class:`Settings` goes on."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from samovar.domains.identity.model import OpenSurface


class Profile(StrEnum):
    """``embedded`` needs nothing but this machine; ``scaled`` stands on PostgreSQL and Redis."""

    EMBEDDED = "embedded"
    SCALED = "scaled"


class Serving(BaseSettings):
    """The first half of the settings."""

    model_config = SettingsConfigDict(
        env_prefix="SAMOVAR_", env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    data_dir: Path = Field(Path("data"), description="Where the database, the master key and files live.")
    profile: Profile = Field(Profile.EMBEDDED, description="embedded or scaled.")
    roles: Annotated[tuple[str, ...], NoDecode] = Field(("all",), description="Roles of this process, comma separated.")
    workers: int = Field(1, ge=1, le=256, description="Processes that serve, one a core. More than one needs Redis.")
    database_url: str = Field(
        "", description="sqlite:///path or postgresql://user@host/name; empty is SQLite in the data directory."
    )
    database_pool_size: int = Field(20, ge=1, le=500, description="Connections kept open.")
    database_pool_overflow: int = Field(10, ge=0, le=500, description="Connections more, when busy.")
    database_statement_cache: bool = Field(True, description="Switch off behind PgBouncer.")
    redis_url: str = Field("", description="redis://host:6379/0; empty keeps cache, limits and events in this process.")
    redis_prefix: str = Field(
        "samovar",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="What all keys in Redis begin with: another for each installation that shares one Redis database.",
    )
    master_key: SecretStr | None = Field(
        None, description="32 bytes, base64 or hex; without it a file is made in the data directory."
    )
    auto_migrate: bool = Field(True, description="Bring the database up to date at start.")

    admin_token: SecretStr | None = Field(
        None,
        min_length=8,
        validation_alias=AliasChoices("ADMIN_TOKEN", "SAMOVAR_ADMIN_TOKEN", "admin_token"),
        description="The installation's administrator; made and shown at the first start if not given.",
    )
    default_model: str = Field(
        "",
        validation_alias=AliasChoices("DEFAULT_MODEL", "SAMOVAR_DEFAULT_MODEL", "default_model"),
        description="The model of `samovar chat` and of vision when none is named.",
    )
    app_url: str = Field(
        "",
        validation_alias=AliasChoices("APP_URL", "SAMOVAR_APP_URL", "app_url"),
        description="The address people use, if it is not http://host:port.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias=AliasChoices("ALLOWED_ORIGINS", "SAMOVAR_ALLOWED_ORIGINS", "allowed_origins"),
        description="Origins of web pages that may call us, comma separated; empty is the same origin only.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Networks whose X-Forwarded-For is believed."
    )
    open: Annotated[tuple[OpenSurface | Literal["off"], ...], NoDecode] = Field(
        (),
        description="What needs no credential: vision, prompts:read, or both; off is nothing. Empty is prompts:read in the"
        " embedded profile on loopback without proxies, else nothing.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["", "console", "json"] = Field(
        "",
        validation_alias=AliasChoices("SAMOVAR_LOG_FORMAT", "LOG_FORMAT", "log_format"),
        description="console or json; empty is console when embedded, json when scaled.",
    )
    otlp_endpoint: str = Field(
        "",
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT", "SAMOVAR_OTLP_ENDPOINT", "otlp_endpoint"),
        description="Where traces go (OTLP over HTTP); empty sends none.",
    )

    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1024, description="Largest body taken.")
    body_timeout_s: float = Field(30.0, gt=0, description="A body must be here within this.")
    connect_timeout_s: float = Field(10.0, gt=0, description="To connect to a provider.")
    json_timeout_s: float = Field(
        30.0,
        gt=0,
        description="A whole answer that is not streamed, all attempts at it together; raise it for reasoning models.",
    )
    first_byte_timeout_s: float = Field(120.0, gt=0, description="The first byte of a stream.")
    idle_timeout_s: float = Field(300.0, gt=0, description="Between two chunks of a stream.")
    unread_timeout_s: float = Field(
        60.0, gt=0, description="How long a client may leave its answer unread before the call is given up."
    )
    stop_timeout_s: float = Field(
        30.0, ge=0, description="How long calls under way may go on when we are told to stop."
    )
    outbound_proxy: str = Field("", description="A proxy for calls to providers.")
    ca_file: Path | None = Field(None, description="Certificates to trust besides the system's, PEM.")
    sandbox: Literal["auto", "on", "off"] = Field(
        "auto", description="The built-in sandbox provider: auto runs it when no other is configured."
    )
    credential_tries: str = Field("20/minute", description="Wrong keys an address may send; off is no limit.")
    key_limits: str = Field(
        "",
        description="Requests of a gateway key, where no quota says else; empty is 100/minute burst 150; 1000/hour, and no"
        " limit in the embedded profile on loopback; off is no limit.",
    )
    service_limits: str = Field("100/minute burst 150", description="Requests of a service account; off is no limit.")
    person_limits: str = Field("100/minute", description="Requests of a person who is signed in; off is no limit.")
    link_limits: str = Field(
        "600/minute burst 900",
        description="Requests with one link to a file, wherever they come from; off is no limit.",
    )
    address_limit: str = Field("20/minute", description="Requests of an address without a credential; off is no limit.")
    block_tries: str = Field(
        "100 per 10 minutes",
        description="An address with more refused requests is shut out; off shuts none out. So on loopback without proxies.",
    )
    block_s: float = Field(900.0, ge=1, le=86_400, description="How long an address is shut out.")
    requests_without_redis: Literal["share", "local", "open", "closed"] = Field(
        "share",
        description="Limits on requests while Redis is away: share (of each process known), local (whole in each process),"
        " open (none) or closed (nothing passes).",
    )
    tokens_without_redis: Literal["share", "local", "open", "closed"] = Field(
        "share", description="The same for limits on tokens."
    )
    concurrency_without_redis: Literal["share", "local", "open", "closed"] = Field(
        "local", description="The same for limits on calls at once."
    )
    shed_lag_s: float = Field(
        1.0,
        ge=0,
        description="Calls are refused, those of the heaviest callers first, while the loop is later; 0: never.",
    )
    shed_in_flight: int = Field(10_000, ge=0, description="The same while a process has more calls; 0: never.")
