"""Reading and using prompts: from memory where it knows them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from samovar.domains.identity.model import Permission, require
from samovar.domains.prompts.errors import BadPrompt, NoDefaultPrompt, PromptInactive, PromptNotFound
from samovar.domains.prompts.model.comparison import Comparison, compare, former_side, side_of
from samovar.domains.prompts.model.prompt import (
    DEFAULT_LANG,
    DEFAULT_NAMESPACE,
    PRODUCTION,
    FormerText,
    HistoryPage,
    Prompt,
    PromptPage,
)
from samovar.domains.prompts.model.query import MAX_PAGE, PromptQuery, cursor_after, number_cursor, number_of
from samovar.domains.prompts.model.variables import render
from samovar.domains.prompts.service.cache import OF_ID, Kept, Key, PromptCache, leading
from samovar.domains.prompts.service.turns import not_found
from samovar.domains.prompts.service.writing import no_former_text
from samovar.domains.prompts.store import listing, rows
from samovar.kernel.errors import Flaw
from samovar.kernel.principal import Principal
from samovar.ports.database import Database, Tx

_DEFAULT: Final = "default"
_NAMED: Final = "named"
_LIST: Final = "list"


class Found(NamedTuple):
    """An answer, and whether memory had it."""

    kept: Kept
    is_hit: bool

    @property
    def prompt(self) -> Prompt | None:
        """The version that was asked for."""
        found = self.kept.found
        return found if isinstance(found, Prompt) else None


class Filled(Struct, frozen=True, kw_only=True):
    """A prompt that was chosen, and its text with the variables filled."""

    prompt: Prompt
    text: str


class PromptReads:
    """Everybody's use cases. Those with a ``principal`` raise ``Forbidden``."""

    def __init__(self, *, database: Database, cache: PromptCache) -> None:
        self._database = database
        self._cache = cache

    # --- as HTTP answers, from memory where it knows them

    async def find(self, team_id: str, prompt_id: int) -> Found:
        """The version with this id."""
        key = (team_id, OF_ID, prompt_id)
        kept = self._cache.get(key)
        if kept is not None:
            return Found(kept, True)

        async def read(tx: Tx) -> Kept:
            return Kept(await rows.one(tx, team_id, prompt_id))

        return await self._load(key, read)

    async def find_default(self, team_id: str, namespace: str, lang: str) -> Found:
        """The default there."""
        key = (team_id, _DEFAULT, namespace, lang)
        kept = self._cache.get(key)
        if kept is not None:
            return Found(kept, True)

        async def read(tx: Tx) -> Kept:
            return leading(await rows.default(tx, team_id, namespace, lang))

        return await self._load(key, read)

    async def find_page(self, team_id: str, query: PromptQuery) -> Found:
        """A page of a list. Raises ``BadPrompt``."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise BadPrompt([Flaw("limit", f"must be from 1 to {MAX_PAGE}")])
        key = (team_id, _LIST, query.namespace, query)
        kept = self._cache.get(key)
        if kept is not None:
            return Found(kept, True)

        async def read(tx: Tx) -> Kept:
            return Kept(await self._page(tx, team_id, query))

        return await self._load(key, read)

    # --- for people and programs

    async def get(self, principal: Principal, prompt_id: int) -> Prompt:
        """One version. Raises ``PromptNotFound``."""
        require(principal, Permission.PROMPTS_READ)
        found = (await self.find(principal.team_id, prompt_id)).prompt
        if found is None:
            raise not_found(prompt_id)
        return found

    async def default(self, principal: Principal, namespace: str, lang: str) -> Prompt:
        """The default. Raises ``NoDefaultPrompt``."""
        require(principal, Permission.PROMPTS_READ)
        found = (await self.find_default(principal.team_id, namespace, lang)).prompt
        if found is None:
            raise no_default(namespace, lang)
        return found

    async def page(self, principal: Principal, query: PromptQuery) -> PromptPage:
        """A page of a list. Raises ``BadPrompt``."""
        require(principal, Permission.PROMPTS_READ)
        found = (await self.find_page(principal.team_id, query)).kept.found
        assert isinstance(found, PromptPage)
        return found

    async def versions(self, principal: Principal, prompt_id: int, *, limit: int, cursor: str | None) -> PromptPage:
        """The versions of the prompt that this is one of, the newest first. Raises ``PromptNotFound``, ``BadPrompt``."""
        require(principal, Permission.PROMPTS_READ)
        below = number_of(cursor)
        async with self._database.reading() as tx:
            one = await self._row(tx, principal, prompt_id)
            found = await rows.versions(tx, principal.team_id, place_of(one), below=below, limit=limit + 1)
        more = len(found) > limit
        return PromptPage(tuple(found[:limit]), number_cursor(found[limit - 1].version) if more else None)

    async def history(self, principal: Principal, prompt_id: int, *, limit: int, cursor: str | None) -> HistoryPage:
        """The former texts of a version, the newest first. Raises ``PromptNotFound``, ``BadPrompt``."""
        require(principal, Permission.PROMPTS_READ)
        below = number_of(cursor)
        async with self._database.reading() as tx:
            await self._row(tx, principal, prompt_id)
            found = await rows.formers(tx, principal.team_id, prompt_id, below=below, limit=limit + 1)
        more = len(found) > limit
        return HistoryPage(tuple(found[:limit]), number_cursor(found[limit - 1].revision) if more else None)

    async def diff(
        self, principal: Principal, prompt_id: int, *, against_id: int | None, revision: int | None
    ) -> Comparison:
        """What changed up to this version's text: since another version, which has the id ``against_id``; or since its own text
        at ``revision``; with neither, since its last former text. Raises ``PromptNotFound``, ``FormerTextNotFound``."""
        require(principal, Permission.PROMPTS_READ)
        async with self._database.reading() as tx:
            one = await self._row(tx, principal, prompt_id)
            if against_id is not None:
                before = side_of(await self._row(tx, principal, against_id))
            else:
                former = await self._former(tx, principal, one, revision)
                before = side_of(one) if former is None else former_side(one, former)
        # Up to a tenth of a second for two long texts: too long for the loop.
        return await asyncio.to_thread(compare, before, side_of(one))

    # --- using them

    async def render(self, principal: Principal, prompt_id: int, values: Mapping[str, Any]) -> Filled:
        """A version's text with its variables filled. Raises ``PromptNotFound``, ``BadVariables``."""
        found = await self.get(principal, prompt_id)
        return Filled(prompt=found, text=render(found.text, found.variables, values))

    async def resolve(
        self,
        team_id: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        lang: str = DEFAULT_LANG,
        prompt_id: int | None = None,
        prompt_name: str | None = None,
        version: int | None = None,
        label: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Filled:
        """The prompt that a call means, filled. By id; or by name, at the ``version`` or the ``label`` given, else where the
        label ``production`` points, else the newest active version; with neither the default of ``namespace`` and ``lang``.
        Waits for the database only where memory does not know it.

        Raises ``PromptNotFound``, ``NoDefaultPrompt``, ``PromptInactive``, ``BadVariables``.
        """
        if prompt_id is not None:
            found = (await self.find(team_id, prompt_id)).prompt
            missing: Exception = not_found(prompt_id)
        elif prompt_name is not None:
            place = (namespace, prompt_name, lang)
            found = (await self._find_named(team_id, place, version, label)).prompt
            missing = _no_such_name(place, version, label)
        else:
            found = (await self.find_default(team_id, namespace, lang)).prompt
            missing = no_default(namespace, lang)
        if found is None:
            raise missing
        if not found.is_active:
            raise PromptInactive(f"Prompt {found.id} ({found.name!r}, version {found.version}) is inactive.")
        return Filled(prompt=found, text=render(found.text, found.variables, variables or {}))

    async def _find_named(
        self, team_id: str, place: tuple[str, str, str], version: int | None, label: str | None
    ) -> Found:
        key = (team_id, _NAMED, *place, version, label)
        kept = self._cache.get(key)
        if kept is not None:
            return Found(kept, True)

        async def choose(tx: Tx) -> Kept:
            if version is not None:
                return Kept(await rows.version(tx, team_id, place, version))
            if label is not None:
                return Kept(await rows.labelled(tx, team_id, place, label))
            produced = await rows.labelled(tx, team_id, place, PRODUCTION)
            return Kept(produced or await rows.newest(tx, team_id, place, active=True))

        return await self._load(key, choose)

    # --- reading

    async def _load(self, key: Key, read: Callable[[Tx], Awaitable[Kept]]) -> Found:
        generation = self._cache.generation
        async with self._database.reading() as tx:
            kept = await read(tx)
        self._cache.put(key, kept, generation=generation)
        return Found(kept, False)

    async def _page(self, tx: Tx, team_id: str, query: PromptQuery) -> PromptPage:
        found = await listing.page(tx, team_id, query, limit=query.limit + 1)
        more = len(found) > query.limit
        return PromptPage(
            tuple(found[: query.limit]), cursor_after(found[query.limit - 1], query.sort) if more else None
        )

    async def _row(self, tx: Tx, principal: Principal, prompt_id: int) -> Prompt:
        found = await rows.one(tx, principal.team_id, prompt_id)
        if found is None:
            raise not_found(prompt_id)
        return found

    async def _former(self, tx: Tx, principal: Principal, one: Prompt, revision: int | None) -> FormerText | None:
        if revision is None:
            newest = await rows.formers(tx, principal.team_id, one.id, below=None, limit=1)
            return newest[0] if newest else None
        if revision == one.revision:
            return None
        found = await rows.former(tx, principal.team_id, one.id, revision)
        if found is None:
            raise no_former_text(one.id, revision)
        return found


def place_of(prompt: Prompt) -> tuple[str, str, str]:
    """What its versions have in common: namespace, name, language."""
    return prompt.namespace, prompt.name, prompt.lang


def no_default(namespace: str, lang: str) -> NoDefaultPrompt:
    """The error for a namespace and language without a default."""
    return NoDefaultPrompt(
        f"Nothing is the default of the namespace {namespace[:64]!r} in {lang[:40]!r}: PUT /v1/prompts/{{id}}/default makes one."
    )


def _no_such_name(place: tuple[str, str, str], version: int | None, label: str | None) -> PromptNotFound:
    namespace, name, lang = place
    which = "active version" if version is None else f"version {version}"
    if label is not None:
        which = f"version with the label {label[:64]!r}"
    return PromptNotFound(f"{name[:128]!r} has no {which} in the namespace {namespace[:64]!r} in {lang[:40]!r}.")
