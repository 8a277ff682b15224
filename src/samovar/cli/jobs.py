"""``samovar jobs``: work for later, listed, shown, cancelled and replayed; and what comes by the clock."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from samovar.cli.output import AsJson, note, say_json, say_table
from samovar.cli.targets import AdminToken, Url, call

app = typer.Typer(no_args_is_help=True, help="Work that is done later, and what comes by the clock.")

JobId = Annotated[str, typer.Argument(help="A job's id; `samovar jobs list` shows them.")]
_COLUMNS = ("id", "kind", "state", "attempt", "due", "ended", "error")
_ERROR_CHARS = 60


@app.command("list")
def list_jobs(
    state: Annotated[
        str | None, typer.Option(help="queued, running, done, dead (the dead letters) or cancelled.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="So many of the newest.")] = 50,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """List jobs, the newest first."""
    wanted = {"state": state, "kind": kind, "limit": limit}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    found = call("GET", f"/api/jobs?{query}", None, url, admin_token)
    if as_json:
        return say_json(found["items"])
    say_table(_COLUMNS, [_row(job) for job in found["items"]])
    return note("There are more: see --limit, --state and --kind.") if found["next_cursor"] else None


@app.command("show")
def show(job_id: JobId, url: Url = None, admin_token: AdminToken = None) -> None:
    """Show all that is known of a job, as JSON."""
    say_json(call("GET", f"/api/jobs/{_path(job_id)}", None, url, admin_token))


@app.command("replay")
def replay(job_id: JobId, as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """Run a dead or cancelled job again."""
    job = call("POST", f"/api/jobs/{_path(job_id)}/replay", None, url, admin_token)
    _told(job, as_json, f"{job['id']} is queued again; a worker that runs begins it within a second.")


@app.command("cancel")
def cancel(job_id: JobId, as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """Cancel a job that waits, or ask one that runs to stop."""
    job = call("POST", f"/api/jobs/{_path(job_id)}/cancel", None, url, admin_token)
    done = "is cancelled" if job["state"] == "cancelled" else "is asked to stop"
    _told(job, as_json, f"{job['id']} {done}.")


@app.command("cron")
def cron(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List what comes by the clock."""
    found = call("GET", "/api/jobs/cron", None, url, admin_token)["items"]
    if as_json:
        return say_json(found)
    columns = ("name", "schedule", "time zone", "next", "last", "last job")
    rows = [
        (
            one["name"],
            one["schedule"],
            one["time_zone"],
            one["next_at"] or "",
            one["last_at"] or "",
            one["last_job_id"] or "",
        )
        for one in found
    ]
    return say_table(columns, rows)


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="A cron job's name; `samovar jobs cron` lists them.")],
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Run a cron job now, beside its schedule. A Samovar that runs does the work."""
    job = call("POST", f"/api/jobs/cron/{_path(name)}/run", None, url, admin_token)
    _told(job, as_json, f"{name} is queued as {job['id']}; `samovar jobs show {job['id']}` says how it goes.")


def _row(job: Any) -> tuple[str, ...]:
    error = job["error"] or ""
    return (
        job["id"],
        job["kind"],
        job["state"],
        f"{job['attempt']} of {job['max_attempts']}",
        job["run_at"],
        job["finished_at"] or "",
        error if len(error) <= _ERROR_CHARS else f"{error[:_ERROR_CHARS]}...",
    )


def _told(job: Any, as_json: bool, words: str) -> None:
    if as_json:
        say_json(job)
    else:
        note(words)


def _path(word: str) -> str:
    return quote(word, safe="")
