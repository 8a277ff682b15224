"""``/api/quotas``: what an admin limits, and the addresses that are shut out."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.billing.http.conventions import (
    Authenticate,
    Cursor,
    IdInPath,
    IfMatch,
    Limit,
    expected_revision,
    refusals,
    tag,
)
from samovar.domains.billing.model.quotas import MAX_CONCURRENCY, Quota, Subject
from samovar.domains.billing.service.quotas import MAX_SUBJECT_CHARS, MAX_TEXT_CHARS, QuotaService
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.asgi import LIMITS
from samovar.ports.routes import Routes, join

LimitsText = Annotated[
    str,
    Field(
        max_length=MAX_TEXT_CHARS,
        description="Requests: `amount/unit` or `amount per count unit`, with an optional burst, separated by `;`. `off` is no"
        " limit; empty leaves it to the quota of `*`, then to the installation's default.",
        examples=["100/minute burst 150; 1000/hour"],
    ),
]
TokensText = Annotated[
    str,
    Field(
        max_length=MAX_TEXT_CHARS,
        description="Tokens, in and out together, written as `limits` are.",
        examples=["100000/minute"],
    ),
]
Concurrency = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_CONCURRENCY,
        description="Calls at once; 0 is no limit, null leaves it to the quota of `*`.",
    ),
]


class QuotaBody(BaseModel):
    """What a quota says; at least one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: LimitsText = ""
    tokens: TokensText = ""
    concurrency: Concurrency = None


class NewQuota(QuotaBody):
    """A quota that is wanted."""

    subject: Annotated[
        Subject,
        Field(
            description="Each key, project, person or service account by itself; the team as a whole; all its calls to a"
            " provider or a model."
        ),
    ]
    subject_id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_SUBJECT_CHARS,
            description="An id (`openai/gpt-5` for a model, a provider's name), or `*`: every one by itself that has no quota"
            " of its own.",
            examples=["*"],
        ),
    ]


class QuotaAnswer(QuotaBody):
    """A quota."""

    id: str
    subject: Subject
    subject_id: str
    revision: int
    updated_at: datetime


class QuotaList(BaseModel):
    """The oldest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[QuotaAnswer, ...]
    next_cursor: str | None


class BlockedAnswer(BaseModel):
    """An address that is shut out until then."""

    address: str
    until: datetime


class BlockedList(BaseModel):
    """By address."""

    items: tuple[BlockedAnswer, ...]
    next_cursor: str | None = None


AddressInPath = Annotated[str, Path(min_length=1, max_length=64, examples=["192.0.2.1"])]


def limited(authenticate: Authenticate, service: QuotaService) -> Authenticate:
    """``authenticate``, and then the caller's limits on requests; the answer's ``X-RateLimit-*`` are left in the scope. The
    administrator has none."""

    async def admitted(request: Request) -> Principal:
        principal = await authenticate(request)
        if principal.kind is not PrincipalKind.ADMIN:
            request.scope[LIMITS] = await service.admit_request(principal)
        return principal

    return admitted


def router(*, service: QuotaService, authenticate: Authenticate) -> Routes:
    """Quotas: list, make, show, change, delete. Blocked addresses: list, let in."""
    routes = Routes()
    # Before those of quotas, whose `{quota_id}` would take the word for an id.
    join(routes, _addresses(service, authenticate))
    join(routes, _quotas(service, authenticate))
    return routes


def _addresses(service: QuotaService, authenticate: Authenticate) -> Routes:
    routes = Routes(prefix="/api/quotas", tags=["quotas"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/blocked", summary="List the addresses that are shut out", responses=refusals())
    async def blocked(principal: caller) -> BlockedList:
        """Those of which too many requests were refused."""
        found = await service.addresses.blocked(principal)
        return BlockedList(items=tuple(BlockedAnswer(address=one.address, until=one.until) for one in found))

    @routes.delete("/blocked/{address}", status_code=204, summary="Let an address in again", responses=refusals(404))
    async def unblock(principal: caller, address: AddressInPath) -> None:
        """In every process, at once; its refused requests are forgiven."""
        await service.addresses.unblock(principal, address)

    return routes


def _quotas(service: QuotaService, authenticate: Authenticate) -> Routes:
    routes = Routes(prefix="/api/quotas", tags=["quotas"])
    rows = service.rows
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List the team's quotas", responses=refusals())
    async def listing(principal: caller, limit: Limit = 50, cursor: Cursor = None) -> QuotaList:
        page = await rows.page(principal, limit=limit, cursor=cursor)
        return QuotaList(items=tuple(_answer(quota) for quota in page.items), next_cursor=page.next_cursor)

    @routes.post("", status_code=201, summary="Limit a subject", responses=refusals(400, 409))
    async def create(principal: caller, body: NewQuota, response: Response) -> QuotaAnswer:
        """In force here at once and in every process within seconds."""
        made = await rows.add(
            principal,
            subject=body.subject,
            subject_id=body.subject_id,
            limits=body.limits,
            tokens=body.tokens,
            concurrency=body.concurrency,
        )
        return _tagged(made, response)

    @routes.get("/{quota_id}", summary="Show a quota", responses=refusals(404))
    async def show(principal: caller, quota_id: IdInPath, response: Response) -> QuotaAnswer:
        return _tagged(await rows.get(principal, quota_id), response)

    @routes.put("/{quota_id}", summary="Change what a quota says", responses=refusals(400, 404, 412))
    async def change(
        principal: caller, quota_id: IdInPath, body: QuotaBody, response: Response, if_match: IfMatch = None
    ) -> QuotaAnswer:
        """All three are set. A limit that changes begins anew; one that stays goes on."""
        made = await rows.change(
            principal,
            quota_id,
            limits=body.limits,
            tokens=body.tokens,
            concurrency=body.concurrency,
            expected=expected_revision(if_match),
        )
        return _tagged(made, response)

    @routes.delete("/{quota_id}", status_code=204, summary="Delete a quota", responses=refusals(404))
    async def delete(principal: caller, quota_id: IdInPath) -> None:
        await rows.remove(principal, quota_id)

    return routes


def _answer(quota: Quota) -> QuotaAnswer:
    return QuotaAnswer(
        id=quota.id,
        subject=quota.subject,
        subject_id=quota.subject_id,
        limits=quota.limits,
        tokens=quota.tokens,
        concurrency=quota.concurrency,
        revision=quota.revision,
        updated_at=quota.updated_at,
    )


def _tagged(quota: Quota, response: Response) -> QuotaAnswer:
    tag(response, quota.revision)
    return _answer(quota)
