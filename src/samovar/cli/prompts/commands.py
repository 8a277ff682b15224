"""``samovar prompts``: found, moved as files, and kept in git."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import urlencode

import typer

from samovar.cli.output import AsJson, note, say, say_json, say_table
from samovar.cli.targets import AdminToken, Key, Url

if TYPE_CHECKING:
    from samovar.cli.api import Credential

app = typer.Typer(no_args_is_help=True, help="Prompts: found, moved as files, and kept in git.")


class FileForm(StrEnum):
    """How prompts are written down. ``markdown`` is a folder, packed as a zip."""

    JSON = "json"
    YAML = "yaml"
    MARKDOWN = "markdown"


class OnDifference(StrEnum):
    """What becomes of a version that is there with another text."""

    NEW_VERSIONS = "create-new-versions"
    OVERWRITE = "overwrite"
    SKIP = "skip"


Namespace: TypeAlias = Annotated[str | None, typer.Option("--namespace", "-n", help="Only of this namespace.")]
Lang: TypeAlias = Annotated[str | None, typer.Option(help="Only in this language.")]
Folder: TypeAlias = Annotated[Path, typer.Argument(help="The folder.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Change nothing, and tell what would change.")]
FormOption: TypeAlias = Annotated[
    FileForm | None, typer.Option("--format", help="Without it the file's name tells (.yaml, .zip), else json.")
]


@app.command("list")
def list_prompts(
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Of this namespace.")] = "default",
    lang: Lang = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    label: Annotated[str | None, typer.Option(help="Only versions that this label points to.")] = None,
    search: Annotated[str | None, typer.Option(help="Only with these words in name, tags or text.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """List versions of prompts, as they are sorted by priority."""
    from samovar.cli.api import ask_all, reach

    wanted = {"namespace": namespace, "lang": lang, "tag": tag, "label": label, "q": search}
    path = f"/v1/prompts?{urlencode({name: value for name, value in wanted.items() if value})}"
    found = reach(lambda api: ask_all(api, path), url=url, credential=_credential(admin_token, key))
    if as_json:
        return say_json(found)
    rows = [
        (
            str(one["id"]),
            one["name"],
            one["lang"],
            str(one["version"]),
            str(one["priority"]),
            ", ".join([*(["default"] if one["is_default"] else []), *one["labels"]]),
            ", ".join(one["tags"]),
            "" if one["is_active"] else "off",
        )
        for one in found
    ]
    return say_table(
        ("id", "name", "lang", "version", "priority", "points to it", "tags", "state"),
        rows,
        right=("id", "version", "priority"),
    )


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="Its name, or the id of a version.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Of this namespace.")] = "default",
    lang: Annotated[str, typer.Option(help="In this language.")] = "en",
    version: Annotated[int | None, typer.Option(help="This version; without it the newest.")] = None,
    label: Annotated[str | None, typer.Option(help="The version that this label points to.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Print a prompt's text."""
    from samovar.cli.api import reach
    from samovar.cli.prompts.finding import find

    found = reach(
        lambda api: find(api, name, namespace=namespace, lang=lang, version=version, label=label),
        url=url,
        credential=_credential(admin_token, key),
    )
    if as_json:
        return say_json(found)
    note(f"{found['namespace']}/{found['name']}.{found['lang']} version {found['version']}, id {found['id']}")
    return say(found["text"])


@app.command("export")
def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; without it standard output.")] = None,
    form: FormOption = None,
    current: Annotated[
        bool | None,
        typer.Option(
            "--current/--all",
            help="Only the newest version of each, the defaults and the labelled ones; or all. Without it all, of markdown the"
            " current ones.",
        ),
    ] = None,
    namespace: Namespace = None,
    lang: Lang = None,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Write prompts to a file."""
    from samovar.cli.api import fetch, reach
    from samovar.cli.output import say_bytes

    wanted = {
        "format": _form_of(form, output).value,
        "versions": None if current is None else "current" if current else "all",
        "namespace": namespace,
        "lang": lang,
    }
    path = f"/v1/prompts/export?{urlencode({name: value for name, value in wanted.items() if value})}"
    raw = reach(lambda api: fetch(api, path), url=url, credential=_credential(admin_token, key))
    if output is None:
        return say_bytes(raw)
    output.write_bytes(raw)
    return note(f"Wrote {output}, {len(raw)} bytes.")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="An export, or a list of prompts; - is standard input.")],
    form: FormOption = None,
    mode: Annotated[
        OnDifference, typer.Option(help="What to do about a version that is there with another text.")
    ] = OnDifference.NEW_VERSIONS,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Take prompts from a file: all of them, or none."""
    import sys

    from samovar.cli.api import reach
    from samovar.cli.prompts.finding import imported, say_imported

    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    done = reach(
        lambda api: imported(api, raw, form=_form_of(form, file).value, mode=mode.value, dry_run=dry_run),
        url=url,
        credential=_credential(admin_token, key),
    )
    say_imported(done, as_json=as_json)


@app.command("pull")
def pull(
    folder: Folder,
    namespace: Namespace = None,
    lang: Lang = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what was changed here.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Write the registry's prompts into a folder, a file each; what was changed here is kept."""
    from samovar.cli.prompts.syncing import Selection, say_pairs, with_registry

    sync = with_registry(folder, Selection(namespace, lang), url=url, credential=_credential(admin_token, key))
    done = sync.pull(force=force, dry_run=dry_run)
    say_pairs(done, as_json=as_json, nothing=f"{folder} has everything.")


@app.command("push")
def push(
    folder: Folder,
    namespace: Namespace = None,
    lang: Lang = None,
    force: Annotated[bool, typer.Option("--force", help="Also what the registry changed since the pull.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Send what changed in a folder: a changed text as a new version, other fields in their place. All of it, or nothing."""
    from samovar.cli.prompts.syncing import Selection, pushed

    pushed(
        folder,
        Selection(namespace, lang),
        force=force,
        dry_run=dry_run,
        as_json=as_json,
        url=url,
        credential=_credential(admin_token, key),
    )


@app.command("diff")
def diff(
    folder: Folder,
    namespace: Namespace = None,
    lang: Lang = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Show what separates a folder from the registry. Exit status 1 where something does."""
    from samovar.cli.prompts.folder import read_folder
    from samovar.cli.prompts.syncing import Selection, say_difference, with_registry

    read_folder(folder)
    sync = with_registry(folder, Selection(namespace, lang), url=url, credential=_credential(admin_token, key))
    if say_difference(sync.pairs, as_json=as_json):
        raise typer.Exit(1)


def _form_of(form: FileForm | None, file: Path | None) -> FileForm:
    if form is not None:
        return form
    endings = {".yaml": FileForm.YAML, ".yml": FileForm.YAML, ".zip": FileForm.MARKDOWN}
    return endings.get(file.suffix.lower() if file else "", FileForm.JSON)


def _credential(admin_token: str | None, key: str | None) -> "Credential | None":
    from samovar.cli.api import Credential

    return Credential.admin_token(admin_token) if admin_token else Credential.key(key) if key else None
