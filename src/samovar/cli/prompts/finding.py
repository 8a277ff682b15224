"""Single prompts, and files of them, through the API."""

from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from samovar.adapters.system import SystemClock, SystemIds
from samovar.cli.api import Api, ask, ask_all, fetch, send
from samovar.cli.output import CannotDo, note, say_json, say_table
from samovar.domains.prompts.model.exchange import Entry, read_items

_NONCE_BYTES: Final = 16
_QUIET: Final = ("unchanged", "skipped")


async def find(
    api: Api, name: str, *, namespace: str, lang: str, version: int | None, label: str | None
) -> dict[str, Any]:
    """The version that is meant: by its id, or of a prompt's name the newest, or another that is named. Raises
    :class:`CannotDo`."""
    if name.isascii() and name.isdigit():
        found: dict[str, Any] = await ask(api, "GET", f"/v1/prompts/{name}")
        return found
    wanted = {"namespace": namespace, "lang": lang, "name": name, "sort": "name", **({"label": label} if label else {})}
    for one in await ask_all(api, f"/v1/prompts?{urlencode(wanted)}"):
        if version is None or one["version"] == version:
            return dict(one)
    which = f" version {version}" if version else f" labelled {label!r}" if label else ""
    raise CannotDo(f"there is no prompt {namespace}/{name}.{lang}{which}; `samovar prompts list` shows those there are")


async def exported(api: Api, *, namespace: str | None, lang: str | None) -> list[Entry]:
    """The current versions of the registry, of each prompt the newest first."""
    wanted = {"format": "json", "versions": "current", "namespace": namespace, "lang": lang}
    raw = await fetch(
        api, f"/v1/prompts/export?{urlencode({name: value for name, value in wanted.items() if value is not None})}"
    )
    try:
        return [item.entry for item in read_items(msgspec.json.decode(raw))]
    except msgspec.DecodeError as error:
        raise CannotDo("what answers /v1/prompts/export is no Samovar") from error


async def imported(api: Api, raw: bytes, *, form: str, mode: str, dry_run: bool) -> Any:
    """What the registry made of a file. Raises :class:`CannotDo`, which names each item that is wrong."""
    query = urlencode({"format": form, "mode": mode, "dry_run": str(dry_run).lower()})
    clock = SystemClock()
    once = [
        ("x-nonce", SystemIds(clock=clock).token(_NONCE_BYTES)),
        ("x-timestamp", str(int(clock.now().timestamp()))),
    ]
    return await send(api, "POST", f"/v1/prompts/import?{query}", raw, once)


def say_imported(done: Any, *, as_json: bool) -> None:
    """A line for each item that something became of, and how many there were."""
    if as_json:
        return say_json(done)
    rows = [
        (f"{one['namespace']}/{one['name']}.{one['lang']}", str(one["version"]), _words(one), ", ".join(one["fields"]))
        for one in done["items"]
        if one["action"] not in _QUIET
    ]
    if rows:
        say_table(("prompt", "version", "what", "of it"), rows, right=("version",))
    told = ", ".join(f"{count} {action.replace('_', ' ')}" for action, count in done["counts"].items() if count)
    return note(f"{'Would be' if done['dry_run'] else 'Done'}: {told or 'nothing'}.")


def _words(one: Any) -> str:
    return str(one["action"]).replace("_", " ")
