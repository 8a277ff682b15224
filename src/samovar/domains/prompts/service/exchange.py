"""Prompts out of the registry as a file, and into it: all of them or none."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from msgspec import UNSET, Struct, structs

from samovar.domains.identity.model import Permission, require
from samovar.domains.prompts.errors import BadImport, ImportConflict, RegistryFull
from samovar.domains.prompts.model.exchange import (
    Action,
    Form,
    Item,
    Mode,
    Step,
    Which,
    Writer,
    by_slot,
    clashes,
    conflicts,
    content,
    flaws_of,
    plan,
    read_document,
    writer,
)
from samovar.domains.prompts.model.prompt import Prompt
from samovar.domains.prompts.service.turns import Turn, Turns
from samovar.domains.prompts.service.writing import MAX_PROMPTS
from samovar.domains.prompts.store import exchange, pointers, rows
from samovar.kernel.errors import Flaw
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx, as_of_now

_PAGE: Final = 100
_SLOTS: Final = 50
# Stems are taken of each row on the event loop.
_ROWS: Final = 20
_IN_MEMORY_BYTES: Final = 4 * 1024 * 1024
_BLOCK_BYTES: Final = 64 * 1024


class Done(Struct, frozen=True, kw_only=True):
    """What became, or with a dry run would become, of one item. ``version`` is the one it is about in the end; ``fields`` are
    those that change."""

    where: str
    namespace: str
    name: str
    lang: str
    version: int
    action: Action
    fields: tuple[str, ...]


class Imported(Struct, frozen=True, kw_only=True):
    """An import that was taken, or tried; ``counts`` has the number of items for each action."""

    dry_run: bool
    mode: Mode
    counts: dict[Action, int]
    items: tuple[Done, ...]


class PromptExchange:
    """Export and import."""

    def __init__(self, *, database: Database, turns: Turns, clock: Clock) -> None:
        self._database = database
        self._turns = turns
        self._clock = clock

    def export(
        self,
        principal: Principal,
        *,
        form: Form,
        which: Which = Which.ALL,
        namespace: str | None = None,
        lang: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The team's prompts as one file, in pieces. Raises ``Forbidden``; before the first piece ``Unavailable``."""
        require(principal, Permission.PROMPTS_READ)
        current = which is Which.CURRENT
        return self._pieces(principal.team_id, writer(form), namespace=namespace, lang=lang, current=current)

    def export_json(self, team_id: str) -> AsyncIterator[bytes]:
        """All of a team's prompts as ``{"exported_at", "count", "prompts"}``, in pieces, for whoever has asked already whether
        the caller may have them. Raises, before the first piece, ``Unavailable``."""
        return self._pieces(team_id, writer(Form.JSON), namespace=None, lang=None, current=False)

    async def import_document(
        self, principal: Principal, raw: bytes, *, form: Form, mode: Mode, dry_run: bool = False
    ) -> Imported:
        """Take all prompts of ``raw``, or none. Raises ``Forbidden``, ``Malformed``, ``BadImport``, ``ImportConflict``,
        ``RegistryFull``."""
        require(principal, Permission.PROMPTS_WRITE)
        items = await asyncio.to_thread(read_document, raw, form)
        flaws = list(clashes(items))
        if flaws:
            raise BadImport(flaws)
        if dry_run:
            async with self._database.reading() as tx:
                await as_of_now(tx)
                steps = await _planned(tx, principal.team_id, items, mode)
        else:
            async with self._turns.open(principal) as turn:
                # All is planned before anything is done: what one item moves must not look like somebody's change to the next.
                steps = await _planned(turn.tx, turn.team_id, items, mode)
                await _apply(turn, [step for step in steps if step.writes])
        return _imported(steps, mode, dry_run=dry_run)

    async def _pieces(
        self, team_id: str, export: Writer, *, namespace: str | None, lang: str | None, current: bool
    ) -> AsyncIterator[bytes]:
        """Written to a file first: the transaction is as short as the database is quick, however slowly a caller reads, and what
        fails does so before anything was answered."""
        with SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as spool:
            async with self._database.reading() as tx:
                await as_of_now(tx)
                count = await exchange.count(tx, team_id, namespace=namespace, lang=lang, current=current)
                spool.write(export.begin(at=self._clock.now(), count=count))
                last: Prompt | None = None
                while True:
                    found = await exchange.page(
                        tx, team_id, namespace=namespace, lang=lang, current=current, after=last, limit=_PAGE
                    )
                    await asyncio.to_thread(_write, spool, export, found, last)
                    if len(found) < _PAGE:
                        break
                    last = found[-1]
            spool.write(export.end())
            spool.seek(0)
            while block := await asyncio.to_thread(spool.read, _BLOCK_BYTES):
                yield block


def _write(spool: IO[bytes], export: Writer, found: Sequence[Prompt], last: Prompt | None) -> None:
    for prompt in found:
        spool.write(export.add(prompt, is_newest=last is None or _slot(last) != _slot(prompt)))
        last = prompt


async def _planned(tx: Tx, team_id: str, items: Sequence[Item], mode: Mode) -> list[Step]:
    """Raises ``ImportConflict``, ``BadImport``, ``RegistryFull``."""
    steps: list[Step] = []
    late: list[Flaw] = []
    flaws: list[Flaw] = []
    for groups in _some(by_slot(items), _SLOTS):
        wanted = [
            (group[0].entry.slot, {item.entry.version for item in group if item.entry.version is not UNSET})
            for group in groups
        ]
        standing: dict[tuple[str, str, str], list[Prompt]] = {}
        for prompt in await exchange.standing(tx, team_id, wanted):
            standing.setdefault(_slot(prompt), []).append(prompt)
        for group in groups:
            there = standing.get(group[0].entry.slot, [])
            late += conflicts(group, there)
            planned = plan(group, there, mode)
            flaws += flaws_of(planned)
            steps += planned
    if late:
        raise ImportConflict(late)
    if flaws:
        raise BadImport(flaws)
    made = sum(step.makes_row for step in steps)
    if made and made + await rows.count(tx, team_id, most=MAX_PROMPTS) > MAX_PROMPTS:
        raise RegistryFull(
            f"A team has at most {MAX_PROMPTS} versions of prompts, and this would add {made}: delete some."
        )
    return steps


async def _apply(turn: Turn, steps: Sequence[Step]) -> None:
    """Rows first, then the defaults, then the labels: these point to rows."""
    standing = [*await _made(turn, [step for step in steps if step.makes_row])]
    for step in steps:
        if step.before is not None and not step.makes_row:
            standing.append((step, await _changed(turn, step, step.before)))
    for step, prompt in standing:
        if step.item.entry.is_default is True and not prompt.is_default:
            turn.touch(prompt.namespace, *await pointers.set_default(turn.tx, turn.team_id, prompt))
    await _point(turn, [one for one in standing if one[0].makes_row or "labels" in one[0].fields])


async def _made(turn: Turn, steps: Sequence[Step]) -> list[tuple[Step, Prompt]]:
    """The rows of new versions. Neither default nor labelled: whatever else is so now may be until then."""
    ids = await rows.new_ids(turn.tx, len(steps)) if steps else range(0)
    made = []
    for prompt_id, step in zip(ids, steps, strict=True):
        entry = step.item.entry
        prompt = Prompt(
            id=prompt_id,
            namespace=entry.namespace,
            name=entry.name,
            version=step.version,
            lang=entry.lang,
            **content(step),
            is_default=False,
            labels=(),
            revision=1,
            created_at=turn.at,
            created_by=turn.by,
            updated_at=turn.at,
            updated_by=turn.by,
        )
        made.append((step, prompt))
        turn.touch(prompt.namespace, prompt.id)
    for start in range(0, len(made), _ROWS):
        await rows.add(turn.tx, turn.team_id, [prompt for _, prompt in made[start : start + _ROWS]])
    return made


async def _changed(turn: Turn, step: Step, before: Prompt) -> Prompt:
    """The row as it is now. What only points to it elsewhere is none of its own fields."""
    is_default = before.is_default and step.item.entry.is_default is not False
    wanted = structs.replace(before, **content(step), is_default=is_default)
    if wanted == before:
        return before
    after = structs.replace(wanted, revision=before.revision + 1, updated_at=turn.at, updated_by=turn.by)
    await rows.change(turn.tx, turn.team_id, after, before=before)
    turn.touch(after.namespace, after.id)
    return after


async def _point(turn: Turn, standing: Sequence[tuple[Step, Prompt]]) -> None:
    """Let the labels that entries say point to their versions, and no others."""
    said = [(prompt, step.item.entry.labels) for step, prompt in standing if step.item.entry.labels is not UNSET]
    pointing = [(prompt, label) for prompt, labels in said for label in labels if label not in prompt.labels]
    changed = await exchange.point(turn.tx, turn.team_id, pointing, at=turn.at, by=turn.by)
    for prompt, labels in said:
        dropped = set(prompt.labels) - set(labels)
        if dropped:
            await exchange.drop(turn.tx, turn.team_id, prompt.id, dropped)
            changed[prompt.id] = _slot(prompt)
    ids = sorted(changed)
    for start in range(0, len(ids), _PAGE):
        await pointers.touch(turn.tx, turn.team_id, ids[start : start + _PAGE])
    for prompt_id, (namespace, _, _) in changed.items():
        turn.touch(namespace, prompt_id)


def _imported(steps: Sequence[Step], mode: Mode, *, dry_run: bool) -> Imported:
    done = tuple(
        Done(
            where=step.item.where,
            namespace=step.item.entry.namespace,
            name=step.item.entry.name,
            lang=step.item.entry.lang,
            version=step.version,
            action=step.action,
            fields=step.fields,
        )
        for step in steps
    )
    counts = {action: sum(one.action is action for one in done) for action in Action}
    return Imported(dry_run=dry_run, mode=mode, counts=counts, items=done)


def _some(groups: Sequence[list[Item]], size: int) -> Iterator[Sequence[list[Item]]]:
    return (groups[start : start + size] for start in range(0, len(groups), size))


def _slot(prompt: Prompt) -> tuple[str, str, str]:
    return prompt.namespace, prompt.name, prompt.lang
