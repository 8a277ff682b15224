"""``/api/storage-elements``."""

from typing import Annotated

from fastapi import Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.files.http.conventions import Authenticate, IfMatch, refusals
from samovar.domains.files.model.choosing import (
    ELEMENT_ID_PATTERN,
    ElementState,
    Room,
    Standing,
    Watermarks,
)
from samovar.domains.files.service import ElementAdmin, ElementChange, NewElement
from samovar.kernel.principal import Principal
from samovar.kernel.time import rfc3339
from samovar.ports.elements import Mode
from samovar.ports.revisions import etag, expected_revision
from samovar.ports.routes import Routes

PREFIX = "/api/storage-elements"
ElementIdInPath = Annotated[str, Path(pattern=ELEMENT_ID_PATTERN)]
Percent = Annotated[float, Field(gt=0, le=100)]
Capacity = Annotated[int | None, Field(ge=1, le=2**62, description="What it may hold, where its place has more.")]
Priority = Annotated[int, Field(ge=0, le=1_000_000, description="The smaller goes first.")]


class WatermarksBody(BaseModel):
    """When an element counts as how full. A critical one takes only files of at most `small_bytes`, a full one none."""

    model_config = ConfigDict(extra="forbid")

    warning_percent: Percent = 85.0
    critical_percent: Percent = 95.0
    full_percent: Percent = 98.0
    small_bytes: Annotated[int, Field(ge=0, le=2**62)] = 1024 * 1024

    def marks(self) -> Watermarks:
        """As the rules have them."""
        return Watermarks(**self.model_dump())


class NewElementBody(BaseModel):
    """An element to be registered."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=ELEMENT_ID_PATTERN)]
    url: Annotated[str, Field(min_length=1, max_length=1024, examples=["file:///srv/samovar/cold"])]
    mode: Mode
    priority: Priority = 100
    capacity_bytes: Capacity = None
    watermarks: WatermarksBody = WatermarksBody()


class ElementPatch(BaseModel):
    """What to set; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority | None = None
    capacity_bytes: Annotated[int | None, Field(ge=0, le=2**62, description="0: as much as its place has.")] = None
    watermarks: WatermarksBody | None = None
    state: Annotated[
        ElementState | None,
        Field(
            description="`draining`: no new files go there; what it has is served. `lost`: it does not come back; its next"
            " scrub makes anew what has other copies. That wants `confirm`."
        ),
    ] = None
    confirm: Annotated[str | None, Field(max_length=63, description="The element's id: yes, it is lost.")] = None


class ModeOrder(BaseModel):
    """A step that cannot be taken back."""

    model_config = ConfigDict(extra="forbid")

    mode: Annotated[Mode, Field(description="From `rw` to `ro`, or from `ro` to `ar`.")]
    confirm: Annotated[str | None, Field(max_length=63, description="The element's id: yes, it is meant.")] = None


class ElementAnswer(BaseModel):
    """An element and how it is. `mode` is in force; `is_away`: it did not say, and then it is the configured one."""

    id: str
    url: str
    mode: Mode
    is_away: bool
    read_only_because: str | None
    priority: int
    state: ElementState
    room: str
    used_bytes: Annotated[int, Field(description="By the files that are known to be on it.")]
    used_percent: float
    free_bytes: int | None
    capacity_bytes: int | None
    watermarks: WatermarksBody
    configured: Annotated[bool, Field(description="By the settings, which then say how it is.")]
    revision: int
    created_at: str
    updated_at: str


class ElementList(BaseModel):
    """All elements, by id."""

    items: list[ElementAnswer]


def router(*, elements: ElementAdmin, authenticate: Authenticate) -> Routes:
    """The registry."""
    routes = Routes(prefix=PREFIX, tags=["files"])
    who = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List storage elements", responses=refusals())
    async def every(principal: who) -> ElementList:
        """As they were found within the last two seconds."""
        found = await elements.every(principal)
        return ElementList(items=[_told(one) for one in found])

    @routes.post("", status_code=201, summary="Register a storage element", responses=refusals(400, 409))
    async def register(principal: who, body: NewElementBody, response: Response) -> ElementAnswer:
        """It is started at once, and takes files as soon as it serves."""
        new = NewElement(
            id=body.id,
            url=body.url,
            mode=body.mode,
            priority=body.priority,
            capacity_bytes=body.capacity_bytes,
            watermarks=body.watermarks.marks(),
        )
        made = await elements.register(principal, new)
        response.headers["Location"] = f"{PREFIX}/{body.id}"
        return _answered(made, response)

    @routes.get("/{element_id}", summary="Look at a storage element", responses=refusals(404))
    async def one(principal: who, element_id: ElementIdInPath, response: Response) -> ElementAnswer:
        """As it is now, asked of itself."""
        return _answered(await elements.one(principal, element_id), response)

    @routes.patch("/{element_id}", summary="Change a storage element", responses=refusals(400, 404, 409, 412))
    async def change(
        principal: who, element_id: ElementIdInPath, body: ElementPatch, response: Response, if_match: IfMatch = None
    ) -> ElementAnswer:
        """Its priority, capacity, watermarks or state. Of one that stands in the settings only the state."""
        wanted = ElementChange(
            priority=body.priority,
            capacity_bytes=body.capacity_bytes,
            watermarks=None if body.watermarks is None else body.watermarks.marks(),
            state=body.state,
        )
        found = await elements.change(
            principal, element_id, wanted, expected=expected_revision(if_match), confirm=body.confirm
        )
        return _answered(found, response)

    @routes.post("/{element_id}/mode", summary="Lower a storage element's mode", responses=refusals(400, 404, 409))
    async def lower(principal: who, element_id: ElementIdInPath, body: ModeOrder, response: Response) -> ElementAnswer:
        """`rw` to `ro`, or `ro` to `ar`. There is no way back but by configuration and restart."""
        return _answered(await elements.lower_mode(principal, element_id, body.mode, confirm=body.confirm), response)

    return routes


def _answered(standing: Standing, response: Response) -> ElementAnswer:
    response.headers["ETag"] = etag(standing.element.revision)
    return _told(standing)


def _told(standing: Standing) -> ElementAnswer:
    element, condition = standing.element, standing.condition
    return ElementAnswer(
        id=element.id,
        url=element.url,
        mode=element.mode if condition is None else condition.mode,
        is_away=condition is None,
        read_only_because=None if condition is None else condition.read_only_because,
        priority=element.priority,
        state=element.state,
        room=Room(standing.room).name.lower(),
        used_bytes=standing.used_bytes,
        used_percent=round(standing.used_percent, 2),
        free_bytes=standing.free_bytes,
        capacity_bytes=element.capacity_bytes,
        watermarks=WatermarksBody(
            warning_percent=element.watermarks.warning_percent,
            critical_percent=element.watermarks.critical_percent,
            full_percent=element.watermarks.full_percent,
            small_bytes=element.watermarks.small_bytes,
        ),
        configured=element.configured,
        revision=element.revision,
        created_at=rfc3339(element.created_at),
        updated_at=rfc3339(element.updated_at),
    )
