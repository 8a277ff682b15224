"""A folder and a registry, brought together: ``pull``, ``push`` and ``diff``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, structs
from rich.console import Console
from rich.text import Text

from samovar.cli.api import Api, Credential, reach
from samovar.cli.output import CannotDo, harmless, note, say, say_json, say_table
from samovar.cli.prompts import folder as disk
from samovar.cli.prompts.comparing import Pair, Standing, by_path, compare, is_newest, unified
from samovar.cli.prompts.finding import exported, imported, say_imported
from samovar.domains.prompts.model.exchange import Entry, digest

_COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}


class Selection(NamedTuple):
    """Which prompts; ``None`` is all."""

    namespace: str | None
    lang: str | None

    def has(self, entry: Entry) -> bool:
        """Whether ``entry`` is one of them."""
        return self.namespace in (None, entry.namespace) and self.lang in (None, entry.lang)


class Done(NamedTuple):
    """What was done with a file."""

    path: str
    what: str


class Sync:
    """A folder beside what the registry has now."""

    def __init__(self, root: Path, selection: Selection, there: Sequence[Entry]) -> None:
        self._root = root
        self._state = disk.read_state(root)
        self._there = by_path([*there])
        here = disk.read_folder(root) if root.exists() else {}
        chosen = {path: entry for path, entry in here.items() if selection.has(entry)}
        self.pairs = compare(chosen, self._there, self._state)

    def pull(self, *, force: bool, dry_run: bool) -> list[Done]:
        """Write what the registry has. Raises :class:`CannotDo`, and writes nothing, where both sides changed."""
        conflicts = [pair.path for pair in self.pairs if _is_conflict(pair, self._state)]
        if conflicts and not force:
            raise CannotDo(
                "\n  - ".join(
                    [
                        "these files changed here and in the registry, so nothing was written;"
                        " `samovar prompts diff` shows how, --force takes the registry's:",
                        *conflicts,
                    ]
                )
            )
        done = [step for pair in self.pairs if (step := _pulled(pair, self._state, force=force)) is not None]
        if not dry_run:
            disk.prepare(self._root)
            self._write(done)
        return done

    def _write(self, done: Sequence[Done]) -> None:
        for path, what in done:
            if what == "kept":
                continue
            if what == "removed":
                disk.remove(self._root, path)
                self._state.pop(path, None)
            else:
                disk.write_entry(self._root, path, self._there[path])
        kept = {path for path, what in done if what == "kept"}
        self._state |= {path: digest(entry) for path, entry in self._there.items() if path not in kept}
        disk.write_state(self._root, self._state)

    def changed(self, *, force: bool) -> list[Pair]:
        """What a push sends. Raises :class:`CannotDo` where the registry changed since."""
        ours = (Standing.CHANGED_HERE, Standing.ONLY_HERE)
        both = (Standing.CONFLICT, Standing.GONE_THERE)
        late = [pair for pair in self.pairs if pair.standing in both]
        if late and not force:
            raise CannotDo(
                "\n  - ".join(
                    [
                        "the registry changed since these were pulled, so nothing was sent; `samovar prompts diff` shows how,"
                        " `samovar prompts pull` brings the changes, --force sends what is here:",
                        *(f"{pair.path}: {pair.standing}" for pair in late),
                    ]
                )
            )
        behind = (Standing.CHANGED_THERE,) if force else ()
        return [pair for pair in self.pairs if pair.standing in (*ours, *both, *behind)]

    def document(self, pairs: Sequence[Pair]) -> bytes:
        """The import that makes the registry what is here. Raises :class:`CannotDo` for the text of an older version, which
        does not change."""
        rewritten = [pair.path for pair in pairs if _rewrites_history(pair)]
        if rewritten:
            raise CannotDo(
                "\n  - ".join(
                    ["an older version keeps its text; write the new one into the prompt's own file:", *rewritten]
                )
            )
        newest = {entry.slot: digest(entry) for path, entry in self._there.items() if is_newest(path)}
        entries = []
        for pair in pairs:
            assert pair.here is not None
            slot = pair.here.slot
            # A prompt's own file speaks of its newest version, whatever number that has by now.
            version = UNSET if is_newest(pair.path) and slot in newest else pair.here.version
            entries.append(structs.replace(pair.here, version=version, base=newest.get(slot, UNSET)))
        return msgspec.json.encode({"prompts": entries})

    def settle(self, pairs: Sequence[Pair], there: Sequence[Entry]) -> None:
        """Write what was sent as the registry has it now, with its version's number; and whatever was the same before, from
        which a label or the default may have moved away."""
        same = [pair for pair in self.pairs if pair.standing is Standing.SAME]
        slots = {pair.here.slot for pair in (*pairs, *same) if pair.here is not None}
        now = {path: entry for path, entry in by_path([*there]).items() if entry.slot in slots}
        for pair in self.pairs:
            if pair.here is not None and pair.here.slot in slots and pair.path not in now:
                disk.remove(self._root, pair.path)
                self._state.pop(pair.path, None)
        for path, entry in now.items():
            disk.write_entry(self._root, path, entry)
            self._state[path] = digest(entry)
        disk.write_state(self._root, self._state)


def with_registry(root: Path, selection: Selection, *, url: str | None, credential: Credential | None) -> Sync:
    """The folder beside the registry at ``url``, or this installation's. Raises :class:`CannotDo`."""
    there = reach(lambda api: exported(api, **selection._asdict()), url=url, credential=credential)
    return Sync(root, selection, there)


def pushed(
    root: Path,
    selection: Selection,
    *,
    force: bool,
    dry_run: bool,
    as_json: bool,
    url: str | None,
    credential: Credential | None,
) -> None:
    """Send what changed, tell what became of it, and note it in the folder. Raises :class:`CannotDo`."""
    disk.read_folder(root)

    async def work(api: Api) -> tuple[Any, list[str]]:
        sync = Sync(root, selection, await exported(api, **selection._asdict()))
        pairs = sync.changed(force=force)
        missing = [pair.path for pair in sync.pairs if pair.standing is Standing.ONLY_THERE]
        raw = sync.document(pairs)
        if not pairs:
            return None, missing
        done = await imported(api, raw, form="json", mode="create-new-versions", dry_run=dry_run)
        if not dry_run:
            sync.settle(pairs, await exported(api, **selection._asdict()))
        return done, missing

    done, missing = reach(work, url=url, credential=credential)
    if done is None:
        done = {"dry_run": dry_run, "mode": "create-new-versions", "counts": {}, "items": []}
    say_imported(done, as_json=as_json)
    if missing and not as_json:
        note(f"Only in the registry, and left there: {', '.join(missing[:10])}{' ...' if len(missing) > 10 else ''}.")


def say_pairs(done: Sequence[Done], *, as_json: bool, nothing: str) -> None:
    """A line a file."""
    if as_json:
        return say_json([step._asdict() for step in done])
    if done:
        return say_table(("file", "what"), [(step.path, step.what) for step in done])
    return note(nothing)


def say_difference(pairs: Sequence[Pair], *, as_json: bool) -> bool:
    """Show each pair that differs; whether one does."""
    found = [pair for pair in pairs if pair.standing is not Standing.SAME]
    if as_json:
        say_json([{"path": pair.path, "standing": pair.standing, "diff": unified(pair)} for pair in found])
        return bool(found)
    for pair in found:
        if pair.here is None:
            say(f"Only in the registry: {harmless(pair.path)}")
            continue
        if pair.standing not in (Standing.CHANGED_HERE, Standing.ONLY_HERE):
            note(f"{pair.path}: {pair.standing}")
        _say_coloured(unified(pair))
    return bool(found)


def _say_coloured(text: str) -> None:
    if not sys.stdout.isatty():
        return say(text)
    console = Console(highlight=False, soft_wrap=True)
    for line in text.split("\n"):
        console.print(Text(harmless(line), style=_COLOURS.get(line[:1], "")))
    return None


def _is_conflict(pair: Pair, state: dict[str, str]) -> bool:
    """Whether a pull would write over something that nobody else has. What was made by hand is as if changed."""
    if pair.standing is Standing.GONE_THERE:
        return pair.here is not None and digest(pair.here) != state.get(pair.path)
    return pair.standing is Standing.CONFLICT or (pair.standing is Standing.CHANGED_HERE and pair.path not in state)


def _pulled(pair: Pair, state: dict[str, str], *, force: bool) -> Done | None:
    if pair.standing is Standing.ONLY_THERE:
        return Done(pair.path, "new")
    if pair.standing is Standing.GONE_THERE:
        return Done(pair.path, "removed")
    if pair.standing in (Standing.CHANGED_THERE, Standing.CONFLICT):
        return Done(pair.path, "written")
    if pair.standing is Standing.CHANGED_HERE:
        return Done(pair.path, "written" if force else "kept")
    return Done(pair.path, "kept") if pair.standing is Standing.ONLY_HERE else None


def _rewrites_history(pair: Pair) -> bool:
    if is_newest(pair.path) or pair.here is None or pair.there is None:
        return False
    return (pair.here.text, pair.here.variables) != (pair.there.text, pair.there.variables)
