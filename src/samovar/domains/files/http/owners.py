"""``/api/files/owners``: what an owner has, and may have."""

from typing import Annotated

from fastapi import Depends, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.files.http.conventions import Authenticate, refusals
from samovar.domains.files.model.records import Usage
from samovar.domains.files.service import FileChanges, FileReads
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

OwnerInPath = Annotated[str, Path(max_length=128, pattern=r"^[A-Za-z0-9._:@+-]+$", examples=["ann"])]
Most = Annotated[int | None, Field(ge=0, le=2**62, description="null: what the settings say.")]


class OwnerBounds(BaseModel):
    """What an owner may have."""

    model_config = ConfigDict(extra="forbid")

    max_files: Most = None
    max_bytes: Most = None


class OwnerAnswer(BaseModel):
    """What an owner has, and bounds of its own where it has some."""

    owner: str
    files: int
    size_bytes: int
    max_files: int | None
    max_bytes: int | None


def add(routes: Routes, reads: FileReads, changes: FileChanges, authenticate: Authenticate) -> None:
    """Room of owners."""
    who = Annotated[Principal, Depends(authenticate)]

    @routes.get("/owners/{owner}", summary="What an owner has", responses=refusals(404), response_class=JSONResponse)
    async def look(principal: who, owner: OwnerInPath) -> OwnerAnswer:
        """Of yourself, or of anybody for those who look after the storage."""
        return _told(owner, await reads.usage(principal, owner))

    @routes.put(
        "/owners/{owner}", summary="Bound what an owner has", responses=refusals(400), response_class=JSONResponse
    )
    async def bound(principal: who, owner: OwnerInPath, body: OwnerBounds) -> OwnerAnswer:
        """In the place of what the settings say. What is there already stays."""
        found = await changes.bound(principal, owner, max_files=body.max_files, max_bytes=body.max_bytes)
        return _told(owner, found)


def _told(owner: str, usage: Usage) -> OwnerAnswer:
    return OwnerAnswer(
        owner=owner,
        files=usage.files,
        size_bytes=usage.size_bytes,
        max_files=usage.max_files,
        max_bytes=usage.max_bytes,
    )
