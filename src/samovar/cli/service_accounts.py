"""``samovar service-accounts``: accounts of programs, made, listed, changed and deleted, and their secrets rotated."""

from enum import StrEnum
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote

import typer

from samovar.cli.output import AsJson, note, say, say_json, say_table
from samovar.cli.targets import AdminToken, Url, call, call_all

app = typer.Typer(no_args_is_help=True, help="Service accounts: programs that sign in for themselves.")

_PATH = "/api/service-accounts"


class Role(StrEnum):
    """What an account may do."""

    ADMIN = "ADMIN"
    USER = "USER"
    AUDITOR = "AUDITOR"
    READONLY = "READONLY"


AccountId: TypeAlias = Annotated[str, typer.Argument(help="Its id.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For people, to tell accounts apart.")],
    role: Annotated[Role, typer.Option(case_sensitive=False, help="What it may do.")] = Role.USER,
    client_id: Annotated[str | None, typer.Option(help="What it signs in as; without one, its id.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Make an account. Its secret is printed here and never again."""
    order = {"name": name, "role": role.value, **({"client_id": client_id} if client_id else {})}
    _show_secret(call("POST", _PATH, order, url, admin_token), as_json)


@app.command("list")
def list_accounts(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List all accounts, the newest first."""
    accounts = call_all(_PATH, url, admin_token)
    if as_json:
        return say_json(accounts)
    rows = [
        (
            one["id"],
            one["name"],
            one["client_id"],
            one["role"],
            one["state"],
            one["hint"],
            _minute(one["secret_expires_at"]),
            _minute(one["last_used_at"]) or "never",
        )
        for one in accounts
    ]
    return say_table(("id", "name", "client id", "role", "state", "secret", "ends", "last used"), rows)


@app.command("rotate-secret")
def rotate_secret(
    account_id: AccountId,
    grace: Annotated[
        str | None, typer.Option(help="How long the old one goes on working: 0s, 12h, 7d; else as the settings say.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Make a new secret. The old one, and the tokens that were got with it, end after a grace period."""
    from samovar.cli.keys import seconds_of

    how = {} if grace is None else {"grace_s": seconds_of(grace)}
    _show_secret(call("POST", f"{_of(account_id)}/rotate-secret", how, url, admin_token), as_json)


@app.command("disable")
def disable(account_id: AccountId, url: Url = None, admin_token: AdminToken = None) -> None:
    """Give an account no more tokens, and refuse those that it has."""
    call("PATCH", _of(account_id), {"disabled": True}, url, admin_token)
    note(f"{account_id} is disabled; processes that run notice within 10 s.")


@app.command("enable")
def enable(account_id: AccountId, url: Url = None, admin_token: AdminToken = None) -> None:
    """Take it back that an account was disabled."""
    call("PATCH", _of(account_id), {"disabled": False}, url, admin_token)
    note(f"{account_id} is enabled.")


@app.command("delete")
def delete(account_id: AccountId, url: Url = None, admin_token: AdminToken = None) -> None:
    """Delete an account for good."""
    call("DELETE", _of(account_id), None, url, admin_token)
    note(f"{account_id} is deleted; processes that run notice within 10 s.")


def _show_secret(made: Any, as_json: bool) -> None:
    if as_json:
        return say_json(made)
    note(f"Client {made['client_id']} ({made['name']}, {made['role']}); its secret, shown once:")
    return say(made["client_secret"])


def _of(account_id: str) -> str:
    return f"{_PATH}/{quote(account_id, safe='')}"


def _minute(instant: str | None) -> str:
    return instant[:16].replace("T", " ") if instant else ""
