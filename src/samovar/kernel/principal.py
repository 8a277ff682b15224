"""Who is asking. Every request has exactly one principal, and every row it touches has the principal's team."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from samovar.kernel.answer_cache import KeyCache
from samovar.kernel.guard import Guard


class PrincipalKind(StrEnum):
    """What sort of caller this is."""

    ADMIN = "admin"
    KEY = "key"
    PERSON = "person"
    SERVICE = "service"
    VISITOR = "visitor"
    """Nobody who said who they are, on a surface that is open to all."""


# A member reached through its class costs a call of a function, and each gateway call takes this path.
_PERSON: Final = PrincipalKind.PERSON


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A caller whose credential was checked.

    ``permissions`` come from the one table in ``identity/model.py``. ``allowed_models`` are patterns such as
    ``openai/*``; ``None`` allows every model. ``expires_at`` is when the credential ends, ``None`` for never. ``wallet_id`` is
    the wallet that the credential itself names to pay for its calls; ``project_id`` and ``user_id`` are whom it says that they
    are for, and a person is for themselves (:attr:`person_id`). ``guard`` is what its owner lets through, ``None`` for
    everything; ``drop_params`` is what a call means that does not say it. ``cache`` is what its owner wants remembered.
    """

    id: str
    kind: PrincipalKind
    team_id: str
    name: str
    permissions: frozenset[str]
    allowed_models: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    wallet_id: str | None = None
    guard: Guard | None = None
    drop_params: bool = False
    cache: KeyCache | None = None
    project_id: str | None = None
    user_id: str | None = None

    @property
    def person_id(self) -> str | None:
        """Whose calls these are, if anybody's."""
        return self.id if self.kind is _PERSON else self.user_id
