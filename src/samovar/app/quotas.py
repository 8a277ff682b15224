"""From settings to the limits of a process."""

from samovar.app.adapters import Shared
from samovar.app.settings import NO_LIMIT, Profile, Settings
from samovar.domains.billing.service.quotas import (
    AddressBounds,
    Away,
    AwayRules,
    LoadBounds,
    QuotaDefaults,
    QuotaService,
)
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.limits import Limit, parse_limits

KEY_LIMITS = "100/minute burst 150; 1000/hour"
"""Of a gateway key (docs/quotas.md)."""


def quota_service(settings: Settings, *, database: Database, clock: Clock, ids: Ids, shared: Shared) -> QuotaService:
    """The limits that the settings say, kept with other processes where there is a Redis."""
    return QuotaService(
        database=database,
        clock=clock,
        ids=ids,
        bus=shared.bus,
        shared=shared.limiter if settings.redis_url else None,
        defaults=QuotaDefaults(
            key=_key_limits(settings),
            person=settings.person_limits,
            service=settings.service_limits,
            link=settings.link_limits,
        ),
        away=AwayRules(
            requests=Away(settings.requests_without_redis),
            tokens=Away(settings.tokens_without_redis),
            concurrency=Away(settings.concurrency_without_redis),
        ),
        bounds=LoadBounds(lag_s=settings.shed_lag_s, in_flight=settings.shed_in_flight),
        addresses=AddressBounds(
            anonymous=None if settings.only_local_callers else _one(settings.address_limit),
            tries=None if settings.only_local_callers else _one(settings.block_tries),
            block_s=settings.block_s,
        ),
        processes=settings.workers,
    )


def _key_limits(settings: Settings) -> str:
    if settings.key_limits:
        return settings.key_limits
    only_mine = settings.profile is Profile.EMBEDDED and settings.is_loopback
    return NO_LIMIT if only_mine else KEY_LIMITS


def _one(text: str) -> Limit | None:
    return None if text == NO_LIMIT else parse_limits(text)[0]
