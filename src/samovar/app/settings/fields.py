"""The settings themselves: each with its default, its words and its bounds."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
)

from samovar.adapters.aesgcm import parse_master_key
from samovar.adapters.jobs.schedule import checked_time_zone
from samovar.app.roles import parts_of
from samovar.app.settings.addresses import origin, proxy_address, web_address
from samovar.app.settings.backups import Endpoint, Place, Recipients, Schedule
from samovar.app.settings.files import Keeping
from samovar.app.settings.serving import Profile
from samovar.domains.identity.model import OpenSurface
from samovar.ports.limits import parse_limits

FILE = "samovar_toml"
NO_LIMIT = "off"


class SettingsInvalid(Exception):
    """All that is wrong with the settings, a sentence each."""

    def __init__(self, flaws: list[str]) -> None:
        super().__init__("\n".join(flaws))
        self.flaws = flaws


class Settings(Keeping):
    """Every setting with its default. A field is read from ``SAMOVAR_<NAME>``, or from the names given with it."""

    spool: Literal["disk", "database"] = Field(
        "disk",
        description="Where charges wait for the ledger: disk (the data directory, at once), or database where a process has no"
        " disk of its own: then an answer ends when its charge is written.",
    )
    spool_sync: Literal["interval", "always"] = Field(
        "interval",
        description="interval: a dead process loses no charge, a power cut at most a tenth of a second of them; always: neither.",
    )
    spool_max_mb: int = Field(
        1024,
        ge=1,
        le=1_000_000,
        description="Charges kept while the database is away, megabytes; then calls are refused.",
    )
    lease_credits: int = Field(
        10, ge=1, le=1_000_000, description="Credits that a process takes from a wallet at a time, where it has plenty."
    )
    lease_idle_s: float = Field(60.0, ge=1, le=86_400, description="Unused leased credits go back after this.")
    lease_lost_after_s: float = Field(
        300.0, ge=30, le=604_800, description="A lease whose process was not seen for so long is lost."
    )
    unknown_price: Literal["refuse", "ceiling"] = Field(
        "refuse", description="Calls from a wallet to a model without a price: refused, or charged at the ceiling."
    )
    call_ceiling_credits: int = Field(
        100,
        ge=1,
        le=10_000_000,
        description="What a call is held at whose cost has no other bound, where its wallet does not say.",
    )

    prompt_cache_s: float = Field(
        300.0, ge=0, le=86_400, description="How long a process remembers a prompt; a write ends it everywhere."
    )
    prompt_list_cache_s: float = Field(60.0, ge=0, le=86_400, description="The same for lists of prompts.")
    prompt_writes: str = Field("20/minute", description="Writes of prompts a caller may make; off is no limit.")
    nonce_required: bool = Field(False, description="Refuse writes of prompts without X-Nonce and X-Timestamp.")
    idempotency_lease_s: float = Field(120.0, ge=5, description="A dead process frees its idempotency keys after this.")
    usage_retention_days: int = Field(
        90, ge=1, le=3_650, description="How long single calls are kept; their sums and the ledger are kept for ever."
    )

    timezone: str = Field("UTC", description="The time zone of schedules, such as Europe/Berlin.")
    jobs_at_once: int = Field(64, ge=1, le=256, description="Jobs that a process runs at once.")
    job_lease_s: float = Field(
        30.0, ge=1, le=3_600, description="A job whose worker is not heard of for so long goes to another."
    )
    jobs_retention_days: int = Field(7, ge=1, le=3_650, description="How long jobs that are done can be looked at.")
    dead_jobs_retention_days: int = Field(90, ge=1, le=3_650, description="How long dead letters can be replayed.")

    backup_schedule: Schedule = Field("0 3 * * *", description="When a backup is made by itself; off makes none.")
    backup_url: Place = Field(
        "",
        description="Where backups go: file:///folder, s3://bucket/prefix, gs://... or az://...; empty is the data directory.",
    )
    backup_keep_days: int = Field(30, ge=1, le=36_500, description="How long backups are kept there.")
    backup_age_recipients: Recipients = Field(
        (), description="age1... keys, comma separated: every backup is encrypted for them."
    )
    backup_endpoint: Endpoint = Field("", description="The address of a service that speaks S3, if it is not AWS.")
    backup_region: str = Field("", description="Its region.")
    backup_access_key_id: str = Field("", description="Who we are to it; empty takes AWS_... of the environment.")
    backup_secret_access_key: SecretStr | None = Field(None, description="The secret that belongs to that id.")

    audit_checkpoint_records: int = Field(
        1000, ge=1, le=100_000, description="Audit records between signed checkpoints."
    )
    audit_checkpoint_s: float = Field(60.0, ge=0.1, le=86_400, description="The longest that new ones wait for one.")
    audit_copy_url: Place = Field(
        "", description="Where checkpoints are copied, as SAMOVAR_BACKUP_URL; empty is nowhere."
    )
    audit_copy_endpoint: Endpoint = Field(
        "", description="The address of the service that speaks S3 there; empty is SAMOVAR_BACKUP_ENDPOINT."
    )
    audit_copy_region: str = Field("", description="Its region; empty is SAMOVAR_BACKUP_REGION.")
    audit_copy_access_key_id: str = Field(
        "", description="Who we are to it; empty is who we are to the backups' place."
    )
    audit_copy_secret_access_key: SecretStr | None = Field(None, description="The secret that belongs to that id.")
    audit_copy_records: bool = Field(False, description="Copy the records as well.")
    audit_retention_days: int = Field(
        0, ge=0, le=36_500, description="How long audit records are kept here at least; 0 is for ever."
    )
    audit_prune_schedule: Schedule = Field("30 4 * * *", description="When older ones are pruned; off never does.")

    token_issuer: str = Field(
        "samovar", pattern=r"^[!-~]{1,200}$", description="The `iss` of access tokens: who made them, who takes them."
    )
    token_ttl_s: int = Field(1800, ge=60, le=86_400, description="How long an access token is good.")
    signing_key_rotation_s: float = Field(
        86_400.0, ge=60, le=31_536_000, description="How long a key signs tokens before the next one does."
    )
    signing_key_grace_s: float = Field(
        3600.0, ge=60, le=31_536_000, description="How long after that it still checks them."
    )
    service_secret_days: int = Field(90, ge=1, le=3_650, description="How long a service account's secret is good.")
    service_secret_grace_s: int = Field(
        86_400, ge=0, le=604_800, description="How long the old one still is after a rotation that does not say."
    )
    sign_in_tries: str = Field(
        "5/minute", description="Wrong secrets of service accounts an address may send; off is no limit."
    )

    provider_keys: Mapping[str, SecretStr] = Field({}, exclude=True, description="<VENDOR>_API_KEY of the environment.")
    provider_base_urls: Mapping[str, str] = Field({}, exclude=True, description="<VENDOR>_BASE_URL of the environment.")

    @field_validator("roles", "allowed_origins", "trusted_proxies", "open", "backup_age_recipients", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @field_validator("open")
    @classmethod
    def _off_or_some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if NO_LIMIT in value and len(value) > 1:
            raise ValueError("is either off or a list of surfaces")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _all_or_some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value and len(value) > 1:
            raise ValueError("is either * or a list of origins")
        return tuple([origin(one) for one in value])

    @field_validator("app_url", "otlp_endpoint")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return value and web_address(value)

    @field_validator("outbound_proxy")
    @classmethod
    def _is_a_proxy(cls, value: str) -> str:
        return value and proxy_address(value)

    @field_validator("master_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_master_key(value.get_secret_value())
        return value

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parts_of(value)
        return value

    @field_validator("key_limits", "service_limits", "person_limits", "link_limits")
    @classmethod
    def _readable_limits(cls, value: str) -> str:
        if value != NO_LIMIT:
            parse_limits(value)
        return value

    @field_validator("credential_tries", "sign_in_tries", "address_limit", "block_tries", "prompt_writes")
    @classmethod
    def _readable_limit(cls, value: str) -> str:
        if value != NO_LIMIT and len(parse_limits(value)) != 1:
            raise ValueError("must be one limit, such as 20/minute")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_time_zone(cls, value: str) -> str:
        return checked_time_zone(value)

    @field_validator("ca_file")
    @classmethod
    def _is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:", "postgresql:", "postgres:")):
            raise ValueError("must begin with sqlite: or postgresql:")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str) -> str:
        if value and not value.startswith(("redis:", "rediss:", "unix:", "memory:")):
            raise ValueError("must begin with redis:, rediss:, unix: or memory:")
        return "" if value.startswith("memory:") else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What `load` read from samovar.toml comes in beside the flags, and speaks last.
        file = dict(init_settings.init_kwargs.get(FILE, {})) if isinstance(init_settings, InitSettingsSource) else {}
        return (init_settings, env_settings, dotenv_settings, InitSettingsSource(settings_cls, file))

    def contradictions(self) -> Iterator[str]:
        """Settings that are right by themselves and do not go together."""
        if self.workers > 1 and not self.redis_url:
            yield (
                f"SAMOVAR_WORKERS={self.workers} needs SAMOVAR_REDIS_URL: several processes cannot share limits and news kept"
                " in the memory of one"
            )
        yield from self.storage_contradictions()
        if bool(self.audit_copy_access_key_id) != (self.audit_copy_secret_access_key is not None):
            # Half of it would be made whole with half of the backups'.
            yield (
                "SAMOVAR_AUDIT_COPY_ACCESS_KEY_ID and SAMOVAR_AUDIT_COPY_SECRET_ACCESS_KEY belong together: set both, or"
                " neither"
            )
        has_servers = self.redis_url and self.database_url.startswith("postgres")
        if self.profile is Profile.SCALED and not has_servers and not self.is_storage_alone:
            yield "SAMOVAR_PROFILE=scaled needs SAMOVAR_DATABASE_URL=postgresql://... and SAMOVAR_REDIS_URL"

    @property
    def database(self) -> str:
        """The database's URL, the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'samovar.db'}"

    @property
    def url(self) -> str:
        """Where people find us."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return self.app_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def usage_retention(self) -> timedelta:
        """How long single calls are kept."""
        return timedelta(days=self.usage_retention_days)

    @property
    def is_loopback(self) -> bool:
        """Only this machine can reach us."""
        return self.host in ("127.0.0.1", "::1", "localhost")

    @property
    def only_local_callers(self) -> bool:
        """Every caller is this machine's own: behind a proxy, loopback is the usual address."""
        return self.is_loopback and not self.trusted_proxies

    @property
    def opened(self) -> frozenset[OpenSurface]:
        """The surfaces that need no credential."""
        if self.open:
            return frozenset(one for one in self.open if isinstance(one, OpenSurface))
        only_mine = self.profile is Profile.EMBEDDED and self.only_local_callers
        return frozenset({OpenSurface.PROMPTS_READ}) if only_mine else frozenset()

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON."""
        return self.log_format == "json" or (not self.log_format and self.profile is Profile.SCALED)
