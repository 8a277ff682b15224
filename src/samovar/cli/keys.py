"""``samovar keys``: gateway keys, made, listed, rotated and revoked."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from samovar.cli.output import AsJson, CannotDo, note, say, say_json, say_table
from samovar.cli.targets import AdminToken, Url

app = typer.Typer(no_args_is_help=True, help="Gateway keys.")

_SPAN: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For people, to tell keys apart.")],
    scope: Annotated[list[str] | None, typer.Option(help="gateway, models, usage, keys or admin; repeatable.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model, or openai/* for a provider's; repeatable.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="30d, 12h, or an instant: 2027-01-31T00:00:00Z.")] = None,
    wallet: Annotated[str | None, typer.Option(help="Id of the wallet that pays for its calls.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Make a key. It is printed here and never again."""
    order: dict[str, Any] = {"name": name}
    if scope:
        order["scopes"] = scope
    if model:
        order["allowed_models"] = model
    if wallet:
        order["wallet_id"] = wallet
    if expires:
        from samovar.adapters.system import SystemClock

        order["expires_at"] = end_of(expires, now=SystemClock().now())
    made = _call("POST", "/api/keys", order, url, admin_token)
    _show_new(made, as_json)


@app.command("list")
def list_keys(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List all keys, the newest first."""
    from samovar.cli.api import Credential, ask_all, reach

    credential = Credential.admin_token(admin_token) if admin_token else None
    keys = reach(lambda api: ask_all(api, "/api/keys"), url=url, credential=credential)
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
            _day(key["expires_at"] or key["grace_until"]) or "never",
            _day(key["last_used_at"]) or "never",
        )
        for key in keys
    ]
    return say_table(("id", "name", "key", "state", "scopes", "models", "ends", "last used"), rows)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id.")], url: Url = None, admin_token: AdminToken = None
) -> None:
    """Stop a key for good."""
    _call("DELETE", f"/api/keys/{_segment(key_id)}", None, url, admin_token)
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
    made = _call("POST", f"/api/keys/{_segment(key_id)}/rotate", {"grace_s": seconds_of(grace)}, url, admin_token)
    _show_new(made, as_json)


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


def _show_new(made: Any, as_json: bool) -> None:
    if as_json:
        return say_json(made)
    note(f"Key {made['id']} ({made['name']}), shown once. Send it as `Authorization: Bearer <key>`.")
    return say(made["key"])


def _call(method: str, path: str, body: Any, url: str | None, admin_token: str | None) -> Any:
    # Loaded when a command runs, not for `--help`.
    from samovar.cli.api import Credential, ask, reach

    credential = Credential.admin_token(admin_token) if admin_token else None
    return reach(lambda api: ask(api, method, path, body), url=url, credential=credential)


def _segment(text: str) -> str:
    return quote(text, safe="")


def _day(instant: str | None) -> str:
    return instant[:16].replace("T", " ") if instant else ""
