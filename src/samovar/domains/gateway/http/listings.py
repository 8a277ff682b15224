"""The list of models as three vendors' APIs give it: pure, from models and a query to JSON."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from samovar.domains.catalog.model import Ability, Model
from samovar.kernel.errors import Flaw, Malformed
from samovar.kernel.time import rfc3339

MAX_PAGE: Final = 1000
_GEMINI_PAGE: Final = 50
_NAME: Final = "models/"
GEMINI_ROOTS: Final = ("/gemini/v1beta/models", "/gemini/v1/models")
"""Google's API has one shape under both of its versions: its SDKs call either."""

_CHAT_METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")
_VECTOR_METHODS: Final = ("embedContent", "batchEmbedContents", "countTokens")

_RELEASED: Final = re.compile(r"(?<!\d)(20\d\d)(-?)(\d\d)\2(\d\d)(?!\d)")

Query = Mapping[str, str]


class Listing(Protocol):
    """How one API tells of models. ``path`` is where they are listed; one of them is below it. Where it dates them, ``since``
    stands for a date that nobody knows: the moment from which this process has served."""

    path: str

    def one(self, model: Model) -> dict[str, Any]: ...

    def page(self, models: Sequence[Model], query: Query) -> dict[str, Any]:
        """Of all ``models``, those that the query asks for. Raises ``Malformed``."""
        ...


def read_query(raw: bytes) -> Query:
    """The last word on each parameter."""
    return {name: values[-1] for name, values in parse_qs(raw.decode("latin-1"), keep_blank_values=True).items()}


class OpenAIListing:
    """https://platform.openai.com/docs/api-reference/models: one page holds all."""

    path = "/v1/models"

    def __init__(self, *, since: datetime) -> None:
        self._since = since

    def one(self, model: Model) -> dict[str, Any]:
        """With what we know of the model beside the API's own fields."""
        created = int(_created(model, self._since).timestamp())
        return {"id": model.id, "object": "model", "created": created, "owned_by": model.provider} | _facts(model)

    def page(self, models: Sequence[Model], query: Query) -> dict[str, Any]:
        """See :meth:`Listing.page`."""
        return {"object": "list", "data": [self.one(model) for model in models]}


class AnthropicListing:
    """https://docs.anthropic.com/en/api/models-list: ``limit``, and ``after_id`` or ``before_id``. Without a limit a page is
    as long as it may be."""

    path = "/v1/models"

    def __init__(self, *, since: datetime) -> None:
        self._since = since

    def one(self, model: Model) -> dict[str, Any]:
        """With what we know of the model beside the API's own fields."""
        created_at = rfc3339(_created(model, self._since))
        told = {"type": "model", "id": model.id, "display_name": model.id, "created_at": created_at}
        return told | _facts(model)

    def page(self, models: Sequence[Model], query: Query) -> dict[str, Any]:
        """See :meth:`Listing.page`."""
        limit = _bounded(query, "limit", MAX_PAGE, most=MAX_PAGE)
        after, before = query.get("after_id"), query.get("before_id")
        if after is not None and before is not None:
            raise _flawed("before_id", "cannot stand beside after_id")
        if before is not None:
            end = _place(models, before, "before_id")
            shown, more = models[max(0, end - limit) : end], end > limit
        else:
            start = 0 if after is None else _place(models, after, "after_id") + 1
            shown, more = models[start : start + limit], len(models) > start + limit
        return {
            "data": [self.one(model) for model in shown],
            "has_more": more,
            "first_id": shown[0].id if shown else None,
            "last_id": shown[-1].id if shown else None,
        }


class GeminiListing:
    """https://ai.google.dev/api/models: ``pageSize`` and ``pageToken``."""

    path = GEMINI_ROOTS[0]

    def one(self, model: Model) -> dict[str, Any]:
        """Names begin with ``models/``, as the SDK has them."""
        makes_vectors = model.abilities is not None and Ability.EMBEDDINGS in model.abilities
        told = {
            "name": _NAME + model.id,
            "baseModelId": model.id,
            "version": "1",
            "displayName": model.title or model.id,
            "inputTokenLimit": model.context_window,
            "outputTokenLimit": model.max_output_tokens,
            "supportedGenerationMethods": _VECTOR_METHODS if makes_vectors else _CHAT_METHODS,
        }
        return {name: value for name, value in told.items() if value is not None}

    def page(self, models: Sequence[Model], query: Query) -> dict[str, Any]:
        """See :meth:`Listing.page`. A token names the last model of the page before: it stays good when models change."""
        size = min(_bounded(query, "pageSize", _GEMINI_PAGE, most=None) or _GEMINI_PAGE, MAX_PAGE)
        ordered = sorted(models, key=lambda model: model.id)
        token = query.get("pageToken")
        start = bisect_right(ordered, _last_of(token), key=lambda model: model.id) if token else 0
        shown = ordered[start : start + size]
        page: dict[str, Any] = {"models": [self.one(model) for model in shown]}
        if len(ordered) > start + size:
            page["nextPageToken"] = urlsafe_b64encode(shown[-1].id.encode()).decode()
        return page


def _created(model: Model, since: datetime) -> datetime:
    """Many vendors name a model by the day of its release."""
    found = _RELEASED.search(model.name)
    if found is None:
        return since
    try:
        return datetime(int(found[1]), int(found[3]), int(found[4]), tzinfo=UTC)
    except ValueError:
        return since


def _facts(model: Model) -> dict[str, Any]:
    return {
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "abilities": None if model.abilities is None else sorted(model.abilities),
    }


def _bounded(query: Query, name: str, default: int, *, most: int | None) -> int:
    """A number from the query: from one, or from zero where there is no upper bound to break."""
    text = query.get(name)
    if text is None:
        return default
    least = 1 if most is not None else 0
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) < least or (most and int(text) > most):
        raise _flawed(name, f"must be a whole number from {least}" + ("" if most is None else f" to {most}"))
    return int(text)


def _place(models: Sequence[Model], model_id: str, name: str) -> int:
    for place, model in enumerate(models):
        if model.id == model_id:
            return place
    raise _flawed(name, f"{model_id[:100]!r} is none of the models that this key may use")


def _last_of(token: str) -> str:
    try:
        return urlsafe_b64decode(token.encode("ascii")).decode()
    except ValueError as error:
        raise _flawed("pageToken", "is none that was given out here") from error


def _flawed(where: str, what: str) -> Malformed:
    return Malformed(f"{where}: {what}", flaws=[Flaw(where, what)])
