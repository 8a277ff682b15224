"""``samovar backup``: made, listed, verified and restored, straight on this installation's database and storage.

No server is asked: a backup can be made beside one that runs, and restored where none can start.
"""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from samovar.cli.output import AsJson, note, say, say_json, say_table

app = typer.Typer(no_args_is_help=True, help="Backups of everything in the database.")

Source: TypeAlias = Annotated[
    str, typer.Argument(help="A backup's name in the configured place, a file, or - for standard input.")
]
IdentityFile: TypeAlias = Annotated[
    Path | None, typer.Option("--identity", help="A file with the age identity it was encrypted for.")
]
PassphraseFile: TypeAlias = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file with the passphrase; /dev/stdin reads it from there.")
]


@app.command("create")
def create(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, and not to the configured place.")
    ] = None,
    recipient: Annotated[
        list[str] | None, typer.Option(help="Encrypt for this age1... key, with --output; repeatable.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a backup now; its name is printed."""
    from samovar.cli.backup import making

    name, size_bytes = making.create(output=output, recipients=recipient or (), passphrase_file=passphrase_file)
    if as_json and output != Path("-"):
        return say_json({"name": name, "size_bytes": size_bytes})
    note(f"Made a backup of {size_bytes} bytes.")
    # Behind the backup itself on standard output its name would be a part of it.
    return None if output == Path("-") else say(name)


@app.command("list")
def list_backups(as_json: AsJson = False) -> None:
    """List the backups in the configured place, the newest first."""
    from samovar.cli.backup import making

    found = making.listed()
    if as_json:
        return say_json(found)
    rows = [(one.name, str(one.size_bytes), "yes" if one.encrypted else "") for one in found]
    return say_table(("name", "bytes", "encrypted"), rows, right=("bytes",))


@app.command("verify")
def verify(
    source: Source,
    identity: IdentityFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Read all of a backup and say what is wrong with it. Exit status 1 where something is."""
    from samovar.cli.backup import taking

    verdict = taking.verify(source, identity=identity, passphrase_file=passphrase_file)
    if as_json:
        say_json({"good": verdict.is_good, "problems": verdict.problems, "rows": verdict.rows})
    elif verdict.is_good:
        note(f"{source} is whole: {sum(verdict.rows.values())} rows of {len(verdict.rows)} tables.")
    for problem in () if as_json else verdict.problems:
        say(problem)
    if not verdict.is_good:
        raise typer.Exit(1)


@app.command("restore")
def restore(
    source: Source,
    replace: Annotated[bool, typer.Option("--replace", help="Lose what is in the database.")] = False,
    identity: IdentityFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Fill an empty database with a backup, all of it or nothing. Stop Samovar first."""
    from samovar.cli.backup import taking

    done = taking.restore(source, replace=replace, identity=identity, passphrase_file=passphrase_file)
    if as_json:
        return say_json({"rows": done.rows})
    return note(f"Restored {sum(done.rows.values())} rows of {len(done.rows)} tables.")


@app.command("recovery")
def recovery() -> None:
    """Make a recovery phrase, shown once: with it, any later backup gives back the master key. A former phrase ends."""
    from samovar.cli.backup import making

    phrase = making.new_phrase()
    note("Write this down and keep it away from the backups. It is shown once; backups made from now on need it.")
    return say(phrase)


@app.command("master-key")
def master_key(
    source: Source,
    phrase_file: Annotated[
        Path, typer.Option("--phrase-file", help="A file with the recovery phrase; /dev/stdin reads it from there.")
    ],
    identity: IdentityFile = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Bring the master key back out of a backup, into the data directory."""
    from samovar.cli.backup import taking

    path = taking.master_key(source, phrase_file=phrase_file, identity=identity, passphrase_file=passphrase_file)
    return note(f"Wrote {path}. `samovar backup restore` can be run now.")
