"""Writing prompts. Each use case is one turn; the ``*_in`` methods are for whoever does several things in one."""

from typing import Final

from msgspec import UNSET, Struct, structs

from samovar.domains.prompts.errors import (
    BadPrompt,
    FormerTextNotFound,
    LabelNotFound,
    PromptInactive,
    PromptIsDefault,
    PromptIsLabelled,
    RegistryFull,
    VersionTaken,
)
from samovar.domains.prompts.model.prompt import (
    MAX_LABELS,
    MAX_VERSION,
    Draft,
    Prompt,
    PromptChange,
    is_label,
)
from samovar.domains.prompts.service.turns import Turn, Turns, check
from samovar.domains.prompts.store import pointers, rows
from samovar.kernel.errors import Flaw
from samovar.kernel.principal import Principal

MAX_PROMPTS = 100_000
"""Rows of a team: versions of all its prompts together."""


_BAD_LABEL: Final = Flaw(
    "label", "must be letters, digits and '.', '_', '-', at most 64, and begin with a letter or digit"
)


class Pointing(Struct, frozen=True, kw_only=True):
    """What shall point to a new version from its start."""

    labels: tuple[str, ...] = ()
    make_default: bool = False


class PromptWrites:
    """An admin's use cases. ``expected`` is the revision that the caller saw, ``None`` for whatever there is. All raise
    ``Forbidden`` and, for a row that is not the team's, ``PromptNotFound``."""

    def __init__(self, *, turns: Turns) -> None:
        self._turns = turns

    async def create(self, principal: Principal, draft: Draft) -> Prompt:
        """A version: the one that ``draft`` names, or the next. Raises ``BadPrompt``, ``VersionTaken``, ``RegistryFull``."""
        check(draft.flaws())
        async with self._turns.open(principal) as turn:
            return await self.create_in(turn, draft)

    async def create_in(self, turn: Turn, draft: Draft) -> Prompt:
        """As :meth:`create`, for a draft without flaws."""
        if await rows.count(turn.tx, turn.team_id, most=MAX_PROMPTS) >= MAX_PROMPTS:
            raise RegistryFull(f"A team has at most {MAX_PROMPTS} versions of prompts; delete some.")
        [prompt_id] = await rows.new_ids(turn.tx)
        made = Prompt(
            id=prompt_id,
            namespace=draft.namespace,
            name=draft.name,
            version=await self._free_version(turn, draft),
            lang=draft.lang,
            text=draft.text,
            tags=draft.tags,
            priority=draft.priority,
            is_active=draft.is_active,
            is_default=False,
            labels=(),
            variables=draft.variables,
            revision=1,
            created_at=turn.at,
            created_by=turn.by,
            updated_at=turn.at,
            updated_by=turn.by,
        )
        await rows.add(turn.tx, turn.team_id, [made])
        turn.touch(made.namespace, made.id)
        if draft.labels:
            await self._point(turn, made, draft.labels)
        if draft.make_default:
            turn.touch(made.namespace, *await pointers.set_default(turn.tx, turn.team_id, made))
        return await turn.prompt(made.id)

    async def new_version(
        self, principal: Principal, prompt_id: int, change: PromptChange, pointing: Pointing | None = None
    ) -> Prompt:
        """The next version of the prompt that ``prompt_id`` is a version of; what ``change`` leaves out is as there, but a new
        version is active unless it says otherwise. Raises what :meth:`create` does."""
        pointing = pointing or Pointing()
        async with self._turns.open(principal) as turn:
            source = change.applied(await turn.prompt(prompt_id))
            draft = Draft(
                namespace=source.namespace,
                name=source.name,
                text=source.text,
                lang=source.lang,
                tags=source.tags,
                priority=source.priority,
                is_active=True if change.is_active is UNSET else source.is_active,
                variables=source.variables,
                labels=pointing.labels,
                make_default=pointing.make_default,
            )
            check(draft.flaws())
            return await self.create_in(turn, draft)

    async def update(
        self, principal: Principal, prompt_id: int, change: PromptChange, *, expected: int | None = None
    ) -> Prompt:
        """Change a version in its place; its former text goes into its history. A change that changes nothing makes no new
        revision. Raises ``BadPrompt``, ``StaleRevision``, ``PromptIsDefault`` for a default that would become inactive."""
        async with self._turns.open(principal) as turn:
            return await self.update_in(turn, await turn.prompt(prompt_id, expected=expected), change)

    async def update_in(self, turn: Turn, before: Prompt, change: PromptChange) -> Prompt:
        """As :meth:`update`, of a row that was read in this turn."""
        check(change.flaws(before))
        wanted = change.applied(before)
        if wanted == before:
            return before
        if before.is_default and not wanted.is_active:
            raise PromptIsDefault(
                f"Prompt {before.id} is the default of {before.namespace!r} in {before.lang!r}: make another one the default"
                f" (PUT /v1/prompts/{{id}}/default) or none (DELETE /v1/prompts/{before.id}/default) before you switch it off."
            )
        after = structs.replace(wanted, revision=before.revision + 1, updated_at=turn.at, updated_by=turn.by)
        await rows.change(turn.tx, turn.team_id, after, before=before)
        turn.touch(after.namespace, after.id)
        return after

    async def restore(
        self, principal: Principal, prompt_id: int, *, revision: int, expected: int | None = None
    ) -> Prompt:
        """Give a version the text and variables that it had at ``revision``; those it has now go into its history. Raises
        ``FormerTextNotFound``, ``StaleRevision``."""
        async with self._turns.open(principal) as turn:
            before = await turn.prompt(prompt_id, expected=expected)
            if revision == before.revision:
                return before
            former = await rows.former(turn.tx, turn.team_id, prompt_id, revision)
            if former is None:
                raise no_former_text(prompt_id, revision)
            return await self.update_in(turn, before, PromptChange(text=former.text, variables=former.variables))

    async def delete(
        self, principal: Principal, prompt_id: int, *, expected: int | None = None, force: bool = False
    ) -> None:
        """Delete a version with its history. One that is the default, or that labels point to, only with ``force``: then the
        default and those labels are gone with it. Raises ``PromptIsDefault``, ``PromptIsLabelled``, ``StaleRevision``."""
        async with self._turns.open(principal) as turn:
            found = await turn.prompt(prompt_id, expected=expected)
            if found.is_default and not force:
                raise PromptIsDefault(
                    f"Prompt {found.id} is the default of {found.namespace!r} in {found.lang!r}: make another one the default"
                    " first, or delete it with ?force=true, and there is none."
                )
            if found.labels and not force:
                raise PromptIsLabelled(
                    f"The labels {', '.join(found.labels)} point to prompt {found.id}: move them to another version first, or"
                    " delete it with ?force=true, and they are gone."
                )
            await rows.remove(turn.tx, turn.team_id, prompt_id)
            turn.touch(found.namespace, found.id)

    # --- what points to versions

    async def set_default(self, principal: Principal, prompt_id: int, *, expected: int | None = None) -> Prompt:
        """Make a version the default of its namespace and language, in the place of the one that was. Raises
        ``PromptInactive``, ``StaleRevision``."""
        async with self._turns.open(principal) as turn:
            found = await turn.prompt(prompt_id, expected=expected)
            if not found.is_active:
                raise PromptInactive(
                    f"Prompt {found.id} is inactive and cannot be the default: switch it on first"
                    f' (PUT /v1/prompts/{found.id} with {{"is_active": true}}).'
                )
            if found.is_default:
                return found
            turn.touch(found.namespace, *await pointers.set_default(turn.tx, turn.team_id, found))
            return await turn.prompt(prompt_id)

    async def clear_default(self, principal: Principal, prompt_id: int, *, expected: int | None = None) -> Prompt:
        """Let there be no default where this version is it; nothing happens where it is not. Raises ``StaleRevision``."""
        async with self._turns.open(principal) as turn:
            found = await turn.prompt(prompt_id, expected=expected)
            if not found.is_default:
                return found
            cleared = await pointers.clear_default(turn.tx, turn.team_id, found.namespace, found.lang)
            turn.touch(found.namespace, *cleared)
            return await turn.prompt(prompt_id)

    async def set_label(
        self, principal: Principal, prompt_id: int, label: str, *, expected: int | None = None
    ) -> Prompt:
        """Let a label of the prompt point to this version, away from the one it pointed to. Raises ``BadPrompt``,
        ``RegistryFull``, ``StaleRevision``."""
        if not is_label(label):
            raise BadPrompt([_BAD_LABEL])
        async with self._turns.open(principal) as turn:
            found = await turn.prompt(prompt_id, expected=expected)
            if label in found.labels:
                return found
            await self._point(turn, found, (label,))
            return await turn.prompt(prompt_id)

    async def drop_label(
        self, principal: Principal, prompt_id: int, label: str, *, expected: int | None = None
    ) -> Prompt:
        """Take a label away from this version. Raises ``LabelNotFound``, ``StaleRevision``."""
        async with self._turns.open(principal) as turn:
            found = await turn.prompt(prompt_id, expected=expected)
            if label not in found.labels:
                raise LabelNotFound(f"No label of that name points to prompt {prompt_id}.")
            await pointers.drop(turn.tx, turn.team_id, prompt_id, label)
            await pointers.touch(turn.tx, turn.team_id, [prompt_id])
            turn.touch(found.namespace, prompt_id)
            return await turn.prompt(prompt_id)

    async def _point(self, turn: Turn, prompt: Prompt, labels: tuple[str, ...]) -> None:
        if len(set(prompt.labels) | set(labels)) > MAX_LABELS:
            raise RegistryFull(f"At most {MAX_LABELS} labels can point to one version.")
        left = await pointers.point(turn.tx, turn.team_id, prompt, labels, at=turn.at, by=turn.by)
        changed = [*left, prompt.id]
        await pointers.touch(turn.tx, turn.team_id, changed)
        turn.touch(prompt.namespace, *changed)

    async def _free_version(self, turn: Turn, draft: Draft) -> int:
        place = (draft.namespace, draft.name, draft.lang)
        if draft.version is None:
            newest = await rows.newest(turn.tx, turn.team_id, place)
            version = 1 if newest is None else newest.version + 1
            if version > MAX_VERSION:
                raise RegistryFull(f"A prompt has at most the version {MAX_VERSION}.")
            return version
        taken = await rows.version(turn.tx, turn.team_id, place, draft.version)
        if taken is not None:
            raise VersionTaken(
                f"{draft.name!r} in {draft.namespace!r} has a version {draft.version} in {draft.lang!r} (id {taken.id}): leave"
                " 'version' out for the next one, or change that one (PUT /v1/prompts/{id})."
            )
        return draft.version


def no_former_text(prompt_id: int, revision: int) -> FormerTextNotFound:
    """The error for a revision that the history does not have."""
    return FormerTextNotFound(
        f"Prompt {prompt_id} had no other text at revision {revision}; GET /v1/prompts/{prompt_id}/history lists them."
    )
