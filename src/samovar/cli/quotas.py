"""``samovar quotas``: limits, listed, set and removed; and the addresses that are shut out."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from samovar.cli.output import AsJson, CannotDo, note, say_json, say_table
from samovar.cli.targets import AdminToken, Url, call, call_all

app = typer.Typer(no_args_is_help=True, help="Limits on requests, tokens and calls at once.")

Subject = Annotated[str, typer.Argument(help="team, key, person, service, provider or model.")]
SubjectId = Annotated[str, typer.Argument(help="Its id, or * for every one that has no quota of its own.")]


@app.command("list")
def list_quotas(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List all quotas."""
    found = _all(url, admin_token)
    if as_json:
        return say_json(found)
    rows = [
        (quota["subject"], quota["subject_id"], quota["limits"], quota["tokens"], _places(quota), quota["id"])
        for quota in found
    ]
    return say_table(("subject", "whose", "requests", "tokens", "at once", "id"), rows)


@app.command("set")
def set_quota(
    subject: Subject,
    subject_id: SubjectId,
    limits: Annotated[
        str | None, typer.Option(help="Requests, like '100/minute burst 150; 1000/hour'; off is no limit.")
    ] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens, like '100000/minute'; off is no limit.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Calls at once; 0 is no limit.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Limit a subject, or change what is said of it; what is not named here stays."""
    given = {"limits": limits, "tokens": tokens, "concurrency": concurrency}
    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    old = _of(subject, subject_id, url, admin_token)
    if old is None:
        made = call("POST", "/api/quotas", {"subject": subject, "subject_id": subject_id, **said}, url, admin_token)
    else:
        whole = {"limits": old["limits"], "tokens": old["tokens"], "concurrency": old["concurrency"], **said}
        made = call("PUT", f"/api/quotas/{quote(old['id'], safe='')}", whole, url, admin_token)
    if as_json:
        return say_json(made)
    return note(f"{subject} {subject_id} is limited; processes that run notice within 10 s.")


@app.command("rm")
def remove(subject: Subject, subject_id: SubjectId, url: Url = None, admin_token: AdminToken = None) -> None:
    """Remove what is said of a subject."""
    old = _of(subject, subject_id, url, admin_token)
    if old is None:
        raise CannotDo(f"there is no quota of {subject} {subject_id}; `samovar quotas list` shows those there are")
    call("DELETE", f"/api/quotas/{quote(old['id'], safe='')}", None, url, admin_token)
    note(f"The quota of {subject} {subject_id} is removed; processes that run notice within 10 s.")


@app.command("blocked")
def blocked(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List the addresses that a running Samovar shuts out."""
    found = call("GET", "/api/quotas/blocked", None, url, admin_token)["items"]
    if as_json:
        return say_json(found)
    return say_table(("address", "until"), [(one["address"], one["until"]) for one in found])


@app.command("unblock")
def unblock(
    address: Annotated[str, typer.Argument(help="An address that is shut out.")],
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Let an address in again."""
    call("DELETE", f"/api/quotas/blocked/{quote(address, safe='')}", None, url, admin_token)
    note(f"{address} may come in again.")


def _places(quota: Any) -> str:
    return "" if quota["concurrency"] is None else str(quota["concurrency"])


def _of(subject: str, subject_id: str, url: str | None, admin_token: str | None) -> Any:
    found = _all(url, admin_token)
    return next((one for one in found if (one["subject"], one["subject_id"]) == (subject, subject_id)), None)


def _all(url: str | None, admin_token: str | None) -> list[Any]:
    return call_all("/api/quotas", url, admin_token)
