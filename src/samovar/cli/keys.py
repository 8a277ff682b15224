"""``samovar keys``: gateway keys, made, listed, changed, rotated and revoked."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from samovar.cli.output import AsJson, CannotDo, note, say, say_json, say_table
from samovar.cli.targets import AdminToken, Url, call, call_all, credential_of

app = typer.Typer(no_args_is_help=True, help="Gateway keys.")

_SPAN: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
# The longest that the API takes is ten years from its own now, which may be a moment behind ours.
_MAX_LIFE_DAYS: Final = 3652
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

MaxTokens = Annotated[int | None, typer.Option("--max-tokens", help="The most tokens of answer a call may ask for.")]
GuardFile = Annotated[
    Path | None, typer.Option(help="Guard rails as JSON (docs/guard-rails.md): bounds on tokens, and rules.")
]
DropParams = Annotated[
    bool | None,
    typer.Option("--drop-params/--no-drop-params", help="Drop parameters that a provider cannot take."),
]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For people, to tell keys apart.")],
    scope: Annotated[list[str] | None, typer.Option(help="gateway, models, usage, keys or admin; repeatable.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model, or openai/* for a provider's; repeatable.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="30d, 12h, or an instant: 2027-01-31T00:00:00Z.")] = None,
    wallet: Annotated[str | None, typer.Option(help="Id of the wallet that pays for its calls.")] = None,
    project: Annotated[str | None, typer.Option(help="The project its calls are for.")] = None,
    user: Annotated[str | None, typer.Option(help="The person its calls are for.")] = None,
    max_tokens: MaxTokens = None,
    guard_file: GuardFile = None,
    drop_params: DropParams = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Make a key. It is printed here and never again."""
    order = _said(name=name, wallet_id=wallet, project_id=project, user_id=user, drop_params=drop_params)
    if scope:
        order["scopes"] = scope
    if model:
        order["allowed_models"] = model
    if expires:
        from samovar.adapters.system import SystemClock

        order["expires_at"] = end_of(expires, now=SystemClock().now())
    guard = _guard(None, max_tokens, guard_file)
    if guard is not None:
        order["guard"] = guard
    made = call("POST", "/api/keys", order, url, admin_token)
    _show_new(made, as_json)


@app.command("list")
def list_keys(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List all keys, the newest first."""
    keys = call_all("/api/keys", url, admin_token)
    if as_json:
        return say_json(keys)
    rows = [
        (
            key["id"],
            key["name"],
            key["hint"],
            key["state"],
            ", ".join(key["scopes"]),
            ", ".join(key["allowed_models"] or ("all",)),
            key["project_id"] or "",
            key["user_id"] or "",
            _day(key["expires_at"] or key["grace_until"]) or "never",
            _day(key["last_used_at"]) or "never",
        )
        for key in keys
    ]
    return say_table(("id", "name", "key", "state", "scopes", "models", "project", "user", "ends", "last used"), rows)


@app.command("edit")
def edit(
    key_id: Annotated[str, typer.Argument(help="Its id.")],
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model, or openai/* for a provider's; repeatable; * for all.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="30d, 12h, an instant, or never.")] = None,
    project: Annotated[str | None, typer.Option(help="The project its calls are for; '' for none.")] = None,
    user: Annotated[str | None, typer.Option(help="The person its calls are for; '' for none.")] = None,
    max_tokens: MaxTokens = None,
    guard_file: GuardFile = None,
    no_guard: Annotated[bool, typer.Option("--no-guard", help="Take all guard rails off.")] = False,
    drop_params: DropParams = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Change a key; what is not named stays, and so does the secret."""
    if no_guard and (max_tokens is not None or guard_file is not None):
        raise CannotDo("--no-guard takes the guard rails off: leave out --max-tokens and --guard-file")
    path = f"/api/keys/{_segment(key_id)}"
    change = _said(name=name, drop_params=drop_params)
    change |= {field: owner or None for field, owner in _said(project_id=project, user_id=user).items()}
    if model:
        change["allowed_models"] = None if model == ["*"] else model
    if expires is not None:
        from samovar.adapters.system import SystemClock

        change["expires_at"] = None if expires == "never" else end_of(expires, now=SystemClock().now())
    if no_guard:
        change["guard"] = None
    elif max_tokens is not None or guard_file is not None:
        known = call("GET", path, None, url, admin_token)["guard"] if guard_file is None else None
        change["guard"] = _guard(known, max_tokens, guard_file)
    if not change:
        raise CannotDo("say what to change; samovar keys edit --help lists it")
    changed = call("PATCH", path, change, url, admin_token)
    if as_json:
        return say_json(changed)
    return note(f"{key_id} is changed; processes that run notice within 10 s.")


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id.")], url: Url = None, admin_token: AdminToken = None
) -> None:
    """Stop a key for good."""
    call("DELETE", f"/api/keys/{_segment(key_id)}", None, url, admin_token)
    note(f"{key_id} is revoked; processes that run notice within 10 s.")


@app.command("rotate")
def rotate(
    key_id: Annotated[str, typer.Argument(help="Its id.")],
    grace: Annotated[str, typer.Option(help="How long the old one goes on working: 0s, 12h, 7d.")] = "7d",
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Make a key with the rights of another, which ends after a grace period."""
    made = call("POST", f"/api/keys/{_segment(key_id)}/rotate", {"grace_s": seconds_of(grace)}, url, admin_token)
    _show_new(made, as_json)


@app.command("rotate-expiring")
def rotate_expiring(
    within: Annotated[str, typer.Option(help="Keys that end within this: 12h, 7d.")] = "7d",
    grace: Annotated[
        str, typer.Option(help="How long the old ones go on working, but not past their own end: 0s, 12h, 7d.")
    ] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which keys that would be.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Rotate every key that soon ends. A new key lives as long as the old one was made for; it is printed here and never
    again, in a line with the id of the old one."""
    from samovar.adapters.system import SystemClock
    from samovar.cli.api import Api, ask, ask_all, reach

    within_s, grace_s = seconds_of(within), seconds_of(grace)
    made: list[Any] = []

    async def work(api: Api) -> list[str]:
        now = SystemClock().now()
        expiring = _expiring(await ask_all(api, "/api/keys"), now=now, until=now + timedelta(seconds=within_s))
        if dry_run:
            made.extend(expiring)
            return []
        failed = []
        for old in expiring:
            order = {"grace_s": grace_s, "expires_at": _renewed(old, now).isoformat()}
            try:
                new = await ask(api, "POST", f"/api/keys/{_segment(old['id'])}/rotate", order)
            except CannotDo as error:
                failed.append(f"{old['id']} ({old['name']}): {error}")
                continue
            made.append({**new, "replaces": old["id"]})
            if not as_json:
                # At once, not at the end: what is interrupted must not lose the secrets that were made.
                note(f"{new['id']} takes the place of {old['id']} ({old['name']}) until {_day(new['expires_at'])}.")
                say(f"{old['id']}\t{new['key']}")
        return failed

    try:
        failed = reach(work, url=url, credential=credential_of(admin_token))
    finally:
        if as_json:
            say_json(made)
    if dry_run and not as_json:
        rows = [(key["id"], key["name"], _day(key["expires_at"]), _day(key["last_used_at"]) or "never") for key in made]
        say_table(("id", "name", "ends", "last used"), rows)
    elif not made and not failed:
        note(f"No active key ends within {within}.")
    if failed:
        raise CannotDo("\n  - ".join(["these keys are not rotated:", *failed]))


def _expiring(keys: list[Any], *, now: datetime, until: datetime) -> list[Any]:
    """The active ones that end by ``until``, the first to end first. One that was replaced already has its heir."""
    ends = [
        (datetime.fromisoformat(key["expires_at"]), key)
        for key in keys
        if key["state"] == "active" and key["expires_at"]
    ]
    return [key for end, key in sorted(ends, key=lambda one: one[0]) if now < end <= until]


def _renewed(old: Any, now: datetime) -> datetime:
    """The end of a key that takes the place of ``old``: it lives as long."""
    life = datetime.fromisoformat(old["expires_at"]) - datetime.fromisoformat(old["created_at"])
    return now + min(life, timedelta(days=_MAX_LIFE_DAYS))


def seconds_of(span: str) -> int:
    """``"12h"`` as seconds. Raises :class:`CannotDo`."""
    found = _SPAN.fullmatch(span.strip().lower())
    if found is None:
        raise CannotDo(f"{span!r} is no span of time: write it like 90s, 30m, 12h, 7d or 2w")
    return int(found[1]) * _UNIT_S[found[2]]


def end_of(text: str, *, now: datetime) -> str:
    """A span from ``now``, or an instant, in RFC 3339. Raises :class:`CannotDo`."""
    if _SPAN.fullmatch(text.strip().lower()):
        return (now + timedelta(seconds=seconds_of(text))).isoformat()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CannotDo(f"{text!r} is neither a span like 30d nor an instant like 2027-01-31T00:00:00Z") from error
    # A bare date or time is meant where the person is.
    return (instant if instant.tzinfo else instant.astimezone()).isoformat()


def _said(**fields: Any) -> dict[str, Any]:
    """Those that were named."""
    return {name: value for name, value in fields.items() if value is not None}


def _guard(known: dict[str, Any] | None, max_tokens: int | None, file: Path | None) -> dict[str, Any] | None:
    """The guard rails of the file, else those known, with the bound that was named."""
    found = known
    if file is not None:
        try:
            found = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CannotDo(f"{file} cannot be read as JSON: {error}") from error
        if not isinstance(found, dict):
            raise CannotDo(f"{file} must hold one JSON object, as docs/guard-rails.md has it")
    if max_tokens is None:
        return found
    return {**(found or {}), "max_output_tokens": max_tokens}


def _show_new(made: Any, as_json: bool) -> None:
    if as_json:
        return say_json(made)
    note(f"Key {made['id']} ({made['name']}), shown once. Send it as `Authorization: Bearer <key>`.")
    return say(made["key"])


def _segment(text: str) -> str:
    return quote(text, safe="")


def _day(instant: str | None) -> str:
    return instant[:16].replace("T", " ") if instant else ""
