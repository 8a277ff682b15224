"""The settings of files: where they are kept, and what may be sent. :class:`Settings` goes on."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from samovar.app.settings.backups import Endpoint
from samovar.app.settings.backups import Schedule
from samovar.app.settings.serving import Serving
from samovar.domains.files.model.choosing import ELEMENT_ID_PATTERN
from samovar.ports.elements import Mode


def _place(value: str) -> str:
    if value and not value.startswith(("file:///", "s3://", "gs://", "az://")):
        raise ValueError("must be file:///folder, s3://bucket/prefix, gs://... or az://...")
    return value.rstrip("/")


class ElementSetting(BaseModel):
    """One storage element."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=ELEMENT_ID_PATTERN)]
    url: Annotated[str, Field(min_length=1), AfterValidator(_place)]
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
        ' "mode": "ro"}]; with priority (the smaller goes first) and capacity_bytes where they matter.',
    )
    file_max_bytes: int = Field(5 * 1024**3, ge=1, description="Largest upload taken.")
    file_idle_s: float = Field(60.0, gt=0, description="How long an upload may say nothing before it is given up.")
    file_ttl_days: int = Field(30, ge=1, le=365, description="How long a temporary file stays that does not say.")
    file_upload_ttl_s: int = Field(
        24 * 3600, ge=1, le=6 * 24 * 3600, description="How long an upload in pieces waits for its next one."
    )
    file_collect_schedule: Schedule = Field(
        "23 * * * *", description="When files that are over are taken away: five fields of cron, or off."
    )
    file_orphans_schedule: Schedule = Field(
        "41 4 * * *", description="When content that has had no attributes for a week is looked for and taken away."
    )
    file_scrub_bytes_per_s: int = Field(
        20 * 1024 * 1024, ge=1, description="What rounds over storage elements read of contents, at most."
    )
    file_owner_max_files: int = Field(0, ge=0, description="How many files an owner may have; 0 is no limit.")
    file_owner_max_bytes: int = Field(0, ge=0, description="How many bytes an owner may have; 0 is no limit.")
