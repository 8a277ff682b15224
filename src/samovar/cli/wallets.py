"""``samovar wallets`` and ``samovar ledger``: credits, and the proof that the books agree."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from samovar.cli.output import AsJson, note, say, say_json, say_table
from samovar.cli.targets import AdminToken, Url, call, call_all

app = typer.Typer(no_args_is_help=True, help="Wallets: who pays for calls.")
ledger = typer.Typer(no_args_is_help=True, help="The ledger.")

WalletId = Annotated[str, typer.Argument(help="Its id.")]
_COLUMNS = ("id", "name", "balance", "held", "spent", "pays for")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For people, to tell wallets apart.")],
    credits: Annotated[str, typer.Option(help="What lies in it; 100 credits are one US dollar.")] = "0",
    unlimited: Annotated[bool, typer.Option(help="Paid for later: it may go below zero.")] = False,
    owner: Annotated[
        str | None, typer.Option(help="Whose calls it pays for: team:ID, project:ID, user:ID or key:ID.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Make a wallet; its id is printed. `samovar keys create NAME --wallet ID` lets it pay for a key."""
    order: dict[str, Any] = {"name": name, "credits": credits, "unlimited": unlimited}
    if owner:
        kind, _, owner_id = owner.partition(":")
        order |= {"owner_kind": kind, "owner_id": owner_id}
    made = call("POST", "/api/wallets", order, url, admin_token)
    if as_json:
        return say_json(made)
    note(f"Wallet {made['id']} ({made['name']}) has {made['balance']} credits.")
    return say(made["id"])


@app.command("list")
def list_wallets(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List all wallets, the newest first."""
    found = call_all("/api/wallets", url, admin_token)
    if as_json:
        return say_json(found)
    return say_table(_COLUMNS, [_row(one) for one in found], right=("balance", "held", "spent"))


@app.command("show")
def show(wallet_id: WalletId, as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """Show a wallet."""
    found = call("GET", f"/api/wallets/{quote(wallet_id, safe='')}", None, url, admin_token)
    if as_json:
        return say_json(found)
    return say_table(_COLUMNS, [_row(found)], right=("balance", "held", "spent"))


@app.command("add")
def add(
    wallet_id: WalletId,
    credits: Annotated[str, typer.Argument(help="How much; below zero (after `--`) takes out.")],
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Put credits into a wallet."""
    body = {"credits": credits}
    path = f"/api/wallets/{quote(wallet_id, safe='')}/credits"
    found = call("POST", path, body, url, admin_token)
    if as_json:
        return say_json(found)
    return note(f"Wallet {found['id']} ({found['name']}) has {found['balance']} credits.")


@ledger.command("check")
def check(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """Prove that every balance is the sum of its transfers. Exit status 1 where one is not."""
    found = call("GET", "/api/ledger/check", None, url, admin_token)["differences"]
    if as_json:
        say_json(found)
    elif found:
        rows = [(one["what"], one["id"], one["kept"], one["found"]) for one in found]
        say_table(("what", "of", "kept", "ledger"), rows, right=("kept", "ledger"))
    else:
        note("All figures agree with the ledger.")
    if found:
        raise typer.Exit(1)


def _row(wallet: Any) -> tuple[str, ...]:
    owner = f"{wallet['owner_kind']}:{wallet['owner_id']}" if wallet["owner_kind"] else "keys that name it"
    return wallet["id"], wallet["name"], wallet["balance"], wallet["held"], wallet["spent"], owner
