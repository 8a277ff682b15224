"""``samovar audit``: what happened, and the proof that nobody changed the record of it."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from samovar.cli.output import AsJson, harmless, note, say, say_json
from samovar.cli.targets import AdminToken, Url, credential_of

app = typer.Typer(no_args_is_help=True, help="What happened, and the proof that nobody changed the record of it.")

_DASH: Final = Path("-")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="An export; - is standard input.")],
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint that was kept elsewhere, a file of several, or a folder of them; repeatable. Only these show"
            " that an export is an old one."
        ),
    ] = None,
    public_key: Annotated[
        list[str] | None,
        typer.Option(
            help="The only key that counts, base64 or a file of keys; repeatable. Without it, the export's own."
        ),
    ] = None,
    part: Annotated[
        bool,
        typer.Option(help="It is a part: let it begin later than the chain, which says nothing of what was before."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify an export. Needs no server, no database and no network.

    Exit status 1: a record was changed, removed, moved or cut off; the first one is named.
    """
    from samovar.cli.audit.verifying import verified

    report = verified(file, checkpoints=checkpoint or (), keys=public_key or (), is_part=part)
    if as_json:
        say_json({"good": report.is_good, **{name: getattr(report, name) for name in report.__struct_fields__}})
    elif report.is_good:
        say(
            f"Good: records {report.first} to {report.last} of the chain {harmless(report.chain)}, {report.checkpoints} signed"
            f" checkpoints; {report.unsealed} records are younger than the last of them."
        )
        if report.pruned_at is not None:
            say(
                f"A signed anchor says that records up to {report.first - 1} were pruned, last at {harmless(report.pruned_at)}."
            )
        elif report.first > 1:
            say(f"It is a part: nothing is said of the records before {report.first}.")
        if not public_key:
            note("The keys were the export's own. To be sure whose it is, give --public-key (docs/audit.md).")
    else:
        say(f"NOT GOOD: {harmless(report.why or '')}")
    if not report.is_good:
        raise typer.Exit(1)


@app.command("export")
def export(
    output: Annotated[Path, typer.Argument(help="The file; - is standard output.")] = _DASH,
    first: Annotated[
        int | None, typer.Option("--from", min=1, help="The first record's number; without it, the first that is kept.")
    ] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, help="The last one's; without it, all.")] = None,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Write the chain, its checkpoints and public keys to a file that can be verified."""
    from samovar.cli.audit.exporting import exported

    size_bytes = exported(
        None if output == _DASH else output, first=first, last=last, url=url, credential=credential_of(admin_token)
    )
    if output != _DASH:
        note(f"{output}: {size_bytes:,} bytes. `samovar audit verify {output}` reads it.")


@app.command("prune")
def prune(
    keep_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Keep so many days; without it, SAMOVAR_AUDIT_RETENTION_DAYS.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete records of this installation that are older than they must be kept.

    The chain is verified first, and copied where SAMOVAR_AUDIT_COPY_URL says; what stays begins with a signed anchor.
    """
    from samovar.cli.audit.pruning import pruned

    found = pruned(keep_days)
    if as_json:
        return say_json({"pruned": found is not None, "first": found and found.first, "last": found and found.last})
    if found is None:
        return say("Nothing is old enough, sealed and copied: nothing was pruned.")
    return say(f"Pruned records {found.first} to {found.last}.")


@app.command("tail")
def tail(
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=100, help="So many of the newest.")] = 20,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with those that come.")] = False,
    action: Annotated[str | None, typer.Option(help="Only this, such as key:create.")] = None,
    user: Annotated[str | None, typer.Option(help="Only what this principal did (its id).")] = None,
    result: Annotated[str | None, typer.Option(help="success, denied or failure.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Show the newest records, the newest last."""
    from samovar.cli.audit.tailing import tail as show

    wanted = {"action": action, "user_id": user, "result": result}
    write = say_line if as_json else say_record
    show(wanted, lines=lines, follow=follow, write=write, url=url, credential=credential_of(admin_token))


def say_record(record: Any) -> None:
    """A record as a line for people."""
    facts = " ".join(f"{name}={value}" for name, value in record["metadata"].items() if value is not None)
    words = (record["timestamp"], record["result"], record["action"], record["resource"], record["user_id"], facts)
    say(harmless("  ".join(str(word) for word in (record["sequence"], *words))))


def say_line(record: Any) -> None:
    """A record as a line of JSON."""
    import msgspec

    say(msgspec.json.encode(record).decode())
