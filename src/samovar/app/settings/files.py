"""The settings of files: where they are kept, and what may be sent. :class:`Settings` goes on."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from samovar.app.roles import STORAGE_ALONE, WITH_ELEMENTS, Part, parts_of
from samovar.app.settings.addresses import web_address
from samovar.app.settings.backups import Endpoint, Schedule
from samovar.app.settings.serving import Serving
from samovar.domains.files.model.choosing import ELEMENT_ID_PATTERN
from samovar.ports.elements import Mode


def _place(value: str) -> str:
    if value and not value.startswith(("file:///", "s3://", "gs://", "az://")):
        raise ValueError("must be file:///folder, s3://bucket/prefix, gs://... or az://...")
    return value.rstrip("/")


def _element_place(value: str) -> str:
    if value.startswith(("http://", "https://")):
        return web_address(value).rstrip("/")
    return _place(value)


def _web_place(value: str) -> str:
    return web_address(value).rstrip("/") if value else value


class ElementSetting(BaseModel):
    """One storage element."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=ELEMENT_ID_PATTERN)]
    url: Annotated[str, Field(min_length=1), AfterValidator(_element_place)]
    mode: Mode
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    capacity_bytes: Annotated[int | None, Field(ge=1)] = None


class Keeping(Serving):
    """The middle of the settings."""

    blob_url: Annotated[str, AfterValidator(_place)] = Field(
        "",
        description="Where files are kept: file:///folder, s3://bucket/prefix, gs://..., az://...; empty is the data directory.",
    )
    blob_endpoint: Endpoint = Field("", description="The address of a service that speaks S3, if it is not AWS.")
    blob_region: str = Field("", description="Its region.")
    blob_access_key_id: str = Field("", description="Who we are to it; empty takes AWS_... of the environment.")
    blob_secret_access_key: SecretStr | None = Field(None, description="The secret that belongs to that id.")
    storage_elements: tuple[ElementSetting, ...] = Field(
        (),
        description='Storage elements beside those two (edit and rw), JSON: [{"id": "cold", "url": "file:///mnt/cold",'
        ' "mode": "ro"}]; with priority (the smaller goes first) and capacity_bytes where they matter. http://host:port is one of'
        " a process with the role storage-element.",
    )
    admin_url: Annotated[str, AfterValidator(_web_place)] = Field(
        "",
        description="Where the role admin answers: a storage-element has the keys from there that check who asks it.",
    )
    storage_rest_s: float = Field(
        60.0,
        ge=0.1,
        le=3_600,
        description="A storage element of another process that failed 5 times rests for so long.",
    )
    file_max_bytes: int = Field(5 * 1024**3, ge=1, description="Largest upload taken.")
    file_idle_s: float = Field(60.0, gt=0, description="How long an upload may say nothing before it is given up.")
    file_ttl_days: int = Field(30, ge=1, le=365, description="How long a temporary file stays that does not say.")
    file_upload_ttl_s: int = Field(
        24 * 3600, ge=1, le=6 * 24 * 3600, description="How long an upload in pieces waits for its next one."
    )
    file_transaction_lease_s: float = Field(
        120.0,
        ge=2,
        le=3600,
        description="How long a process leads an upload without saying that it still does; then an admin process ends it. Longer"
        " than SAMOVAR_FILE_IDLE_S, after which an element gives up a silent sender.",
    )
    file_transaction_round_s: float = Field(
        5.0, gt=0, le=300, description="How often an admin process looks for uploads without a leader."
    )
    file_transaction_days: int = Field(7, ge=1, le=365, description="How long it is told how an upload ended.")
    file_queued_days: int = Field(
        7,
        ge=1,
        le=30,
        description="How long a change that was sent with Prefer: respond-async waits for a storage element that is away.",
    )
    file_collect_schedule: Schedule = Field(
        "23 * * * *", description="When files that are over are taken away: five fields of cron, or off."
    )
    file_orphans_schedule: Schedule = Field(
        "41 4 * * *", description="When content that has had no attributes for a week is looked for and taken away."
    )
    file_replicas: int = Field(
        1, ge=1, le=3, description="On how many storage elements a permanent file stands that does not say."
    )
    file_scrub_schedule: Schedule = Field(
        "11 1 * * *", description="When all storage elements are scrubbed: read, compared, and repaired from replicas."
    )
    file_scrub_bytes_per_s: int = Field(
        20 * 1024 * 1024, ge=1, description="What rounds over storage elements read of contents, at most."
    )
    file_owner_max_files: int = Field(0, ge=0, description="How many files an owner may have; 0 is no limit.")
    file_owner_max_bytes: int = Field(0, ge=0, description="How many bytes an owner may have; 0 is no limit.")

    @property
    def holds_folders(self) -> bool:
        """Whether this process opens the folders of storage elements. Every folder has one such process."""
        return Part.STORAGE in parts_of(self.roles)

    @property
    def is_storage_alone(self) -> bool:
        """A process with neither database nor secrets."""
        return parts_of(self.roles) == STORAGE_ALONE

    def storage_contradictions(self) -> Iterator[str]:
        """What of elements does not go with the roles."""
        folders = [one.id for one in self.storage_elements if one.url.startswith("file:")]
        elsewhere = [one.id for one in self.storage_elements if one.url.startswith("http")]
        if self.is_storage_alone:
            if not self.admin_url:
                yield "SAMOVAR_ROLES=storage-element needs SAMOVAR_ADMIN_URL: the keys that check who asks come from there"
            if elsewhere:
                yield (
                    f"SAMOVAR_STORAGE_ELEMENTS: {elsewhere[0]} is an element of another process, which a storage-element"
                    " cannot serve"
                )
            if self.workers > 1:
                yield f"SAMOVAR_WORKERS={self.workers}: one process has a folder; a storage-element runs with one worker"
            return
        asks = parts_of(self.roles) & WITH_ELEMENTS and not self.holds_folders
        if asks and (folders or self.blob_url.startswith("file:")):
            name = "SAMOVAR_STORAGE_ELEMENTS" if folders else "SAMOVAR_BLOB_URL"
            yield (
                f"{name}: a folder is opened by a process with the role storage-element alone; name the http://host:port"
                " at which that process serves it"
            )
