"""The command and its subcommands. Each imports what it needs when it runs: ``samovar version`` shall not load a server."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from samovar import __version__
from samovar.cli import audit, backup, files, jobs, keys, prompts, providers, quotas, routes, service_accounts, wallets
from samovar.cli.output import AsJson, complain, note
from samovar.cli.targets import AdminToken, By, Key, Url

app = typer.Typer()


def run(words: Sequence[str] | None = None) -> None:
    """Run the command line's command, or the one of ``words``; what the user can mend is said in a sentence, without a
    traceback.

    Exit status 0 is done, 1 failed, 2 wrong settings or arguments.
    """
    try:
        _whole()(words, prog_name="samovar")
    except Exception as error:  # edge: what is no defect of ours is said in words, and ends the process
        status = _said(error)
        if status is None:
            raise
        sys.exit(status)


def _whole() -> typer.Typer:
    """All commands under one name; made for each run, so that a second one in a process finds none of them twice."""
    whole = typer.Typer(
        name="samovar",
        help="One self-hosted service between a team and every AI model it uses.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    whole.add_typer(app)
    whole.add_typer(audit.app, name="audit")
    whole.add_typer(backup.app, name="backup")
    whole.add_typer(files.app, name="files")
    whole.add_typer(jobs.app, name="jobs")
    whole.add_typer(keys.app, name="keys")
    whole.add_typer(prompts.app, name="prompts")
    whole.add_typer(providers.app, name="providers")
    whole.add_typer(quotas.app, name="quotas")
    whole.add_typer(routes.app, name="routes")
    whole.add_typer(service_accounts.app, name="service-accounts")
    whole.add_typer(wallets.app, name="wallets")
    whole.add_typer(wallets.ledger, name="ledger")
    return whole


def _said(error: Exception) -> int | None:
    """The exit status, where the user can mend it and was told how. Of values that are wrong only the master key's is the
    user's; any other is a defect of ours."""
    # Only now: the settings take longer to load than most of what needs none of them takes to run.
    from samovar.adapters.aesgcm import BadMasterKey
    from samovar.app.settings import SettingsInvalid
    from samovar.cli.output import CannotDo
    from samovar.kernel.errors import SamovarError

    if isinstance(error, SettingsInvalid):
        complain("The settings are not right:", "".join(f"\n  - {flaw}" for flaw in error.flaws))
        return 2
    is_defect = isinstance(error, ValueError) and not isinstance(error, BadMasterKey)
    if isinstance(error, CannotDo | SamovarError | BadMasterKey | OSError) and not is_defect:
        complain("samovar:", f" {_words(error)}")
        return 1
    return None


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    import platform

    from samovar.cli.output import say_json

    if as_json:
        say_json({"samovar": __version__, "python": platform.python_version()})
    else:
        typer.echo(__version__)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the database and the master key live.")] = None,
    roles: Annotated[str | None, typer.Option(help="Roles of this process, comma separated.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    reload: Annotated[bool, typer.Option(help="Restart when the source changes.")] = False,
) -> None:
    """Start Samovar."""
    from samovar.app.settings import load
    from samovar.cli.serve import serve as start

    flags = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "roles": roles,
        "workers": workers,
        "log_level": log_level,
    }
    start(load(flags), reload=reload)


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8090,
) -> None:
    """Run the sandbox alone: a server that speaks the vendors' wire formats, without keys or network."""
    from samovar.cli.sandbox import serve_sandbox

    serve_sandbox(host, port)


@app.command()
def models(
    search: Annotated[str, typer.Option(help="Only those whose name, title or abilities hold these words.")] = "",
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """List the models that can be called, with their prices."""
    from samovar.cli.api import Credential
    from samovar.cli.models import show_models

    credential = Credential.admin_token(admin_token) if admin_token else Credential.key(key) if key else None
    show_models(search=search, as_json=as_json, url=url, credential=credential)


@app.command()
def usage(
    by: Annotated[By, typer.Option(help="What a line stands for.")] = By.MODEL,
    start: Annotated[
        str,
        typer.Option(
            "--from", help="A date, a time, or how long ago: 2026-11-01, 12h, 7d; without it 30d (hours: 7d)."
        ),
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Show what was used, and what it cost."""
    from samovar.cli.api import Credential
    from samovar.cli.usage import show_usage

    credential = Credential.admin_token(admin_token) if admin_token else Credential.key(key) if key else None
    show_usage(by=by, start=start, as_csv=as_csv, as_json=as_json, url=url, credential=credential)


@app.command()
def chat(
    model: Annotated[str | None, typer.Argument(help="Without it DEFAULT_MODEL, else sandbox/echo.")] = None,
    prompt: Annotated[str | None, typer.Argument(help="Without it standard input, or a conversation.")] = None,
    system: Annotated[str | None, typer.Option(help="What the model is told first.")] = None,
    as_json: AsJson = False,
    url: Annotated[str | None, typer.Option(envvar="SAMOVAR_URL", help="Where Samovar runs.")] = None,
    key: Key = None,
) -> None:
    """Talk to a model through a Samovar that runs."""
    from samovar.cli.chat import chat as talk

    talk(model=model, prompt=prompt, system=system, as_json=as_json, url=url, key=key)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check the set-up, and say what to do."""
    from samovar.cli.doctor import examine

    if not examine(as_json=as_json):
        raise typer.Exit(1)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database up to date."""
    import asyncio

    from samovar.app.settings import load
    from samovar.app.upkeep import migrated
    from samovar.cli.output import say_json

    applied = asyncio.run(migrated(load()))
    if as_json:
        say_json({"applied": applied})
    else:
        typer.echo(f"applied {', '.join(applied)}" if applied else "the database is up to date")


@app.command()
def openapi(
    check: Annotated[bool, typer.Option("--check", help="Fail if the file is not what the code says.")] = False,
    output: Annotated[Path, typer.Option(help="The file.")] = Path("openapi.json"),
) -> None:
    """Write openapi.json, or check it."""
    from samovar.cli.openapi import document

    text = document()
    if not check:
        output.write_text(text, "utf-8")
        typer.echo(f"wrote {output}")
    elif not output.exists() or output.read_text("utf-8") != text:
        note(f"{output} is stale: run `samovar openapi`")
        raise typer.Exit(1)
