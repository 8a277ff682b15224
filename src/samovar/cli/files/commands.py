"""``samovar files``: the commands."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import typer

from samovar.cli.output import AsJson, harmless, note, say, say_json, say_table
from samovar.cli.targets import AdminToken, Key, Url

if TYPE_CHECKING:
    from samovar.cli.api import Api
    from samovar.cli.files.progress import Bars
    from samovar.cli.files.working import Failed

app = typer.Typer(no_args_is_help=True, help="Files: put, fetched, found, removed, finalized, restored, verified.")

_T = TypeVar("_T")
_PATH = "/api/files"

Ids: TypeAlias = Annotated[list[str], typer.Argument(help="Files' ids.")]
Parallel: TypeAlias = Annotated[int, typer.Option("--parallel", "-p", min=1, max=32, help="So many at once.")]
Limit: TypeAlias = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")]
Elements: TypeAlias = Annotated[list[str] | None, typer.Argument(help="Storage elements' ids; without any, all.")]
Tags: TypeAlias = Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeatable.")]


@app.command("put")
def put(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with all that is in them.")],
    tag: Tags = None,
    retention: Annotated[str | None, typer.Option(help="temporary, or permanent.")] = None,
    ttl_days: Annotated[int | None, typer.Option(help="How many days a temporary file stays.")] = None,
    parallel: Parallel = 4,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Put files into the store. The same command goes on with what was broken off."""
    from samovar.cli.files import putting

    found = putting.sources(paths)
    said = putting.Said(tuple(tag or ()), retention, ttl_days)

    async def work(api: "Api", bars: "Bars") -> "tuple[list[Any], list[Failed]]":
        return await putting.put(api, found, said, bars, parallel=parallel)

    _tell_files(*_with_bars(work, url, admin_token, key), as_json)


@app.command("get")
def get(
    file_ids: Ids,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder, or a file for one; - is standard output.")
    ] = None,
    parallel: Parallel = 4,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Fetch files. The same command goes on with what was broken off; what arrives is what the checksum says."""
    from samovar.cli.files import getting
    from samovar.cli.output import CannotDo

    if output == Path("-"):
        if len(file_ids) > 1:
            raise CannotDo("one file goes to standard output")
        return _reached(lambda api: getting.to_standard_output(api, file_ids[0]), url, admin_token, key)

    async def work(api: "Api", bars: "Bars") -> "tuple[list[Any], list[Failed]]":
        return await getting.get(api, list(dict.fromkeys(file_ids)), output, bars, parallel=parallel)

    found, failed = _with_bars(work, url, admin_token, key)
    if as_json:
        say_json(found)
    else:
        for one in found:
            say(one["path"])
    return _end(failed)


@app.command("ls")
def list_files(
    limit: Limit = 100,
    owner: Annotated[str | None, typer.Option(help="Whose; those who may see others'.")] = None,
    sort: Annotated[str, typer.Option(help="newest, oldest or largest.")] = "newest",
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """List files."""
    asked = [("sort", sort), *([("owner", owner)] if owner else [])]
    _tell_files(_listed(asked, limit, url, admin_token, key), [], as_json)


@app.command("search")
def search(
    words: Annotated[list[str] | None, typer.Argument(help="That begin words of name, tags or attributes.")] = None,
    tag: Tags = None,
    attribute: Annotated[list[str] | None, typer.Option(help="name=value; repeatable.")] = None,
    content_type: Annotated[str | None, typer.Option("--type", help="image/png, or image/*.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Find files: all that is said must hold."""
    asked = [("tag", one) for one in tag or ()] + [("attribute", one) for one in attribute or ()]
    if words:
        asked.append(("q", " ".join(words)))
    if content_type:
        asked.append(("content_type", content_type))
    _tell_files(_listed(asked, limit, url, admin_token, key), [], as_json)


@app.command("rm")
def remove(
    file_ids: Ids,
    parallel: Parallel = 4,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Delete files, for good."""

    async def one(api: "Api", file_id: str) -> Any:
        from samovar.cli.api import ask

        await ask(api, "DELETE", f"{_PATH}/{quote(file_id, safe='')}")
        return file_id

    _each(file_ids, one, "Deleted", parallel, as_json, url, admin_token, key)


@app.command("finalize")
def finalize(
    file_ids: Ids,
    parallel: Parallel = 4,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Make temporary files permanent."""

    async def one(api: "Api", file_id: str) -> Any:
        from samovar.cli.api import ask

        return await ask(api, "POST", f"{_PATH}/{quote(file_id, safe='')}/finalize") or file_id

    _each(file_ids, one, "Finalized", parallel, as_json, url, admin_token, key)


@app.command("restore")
def restore(
    file_ids: Ids,
    wait: Annotated[float, typer.Option(min=0, max=86_400, help="Wait so many seconds until they are back.")] = 0,
    parallel: Parallel = 4,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Bring contents back from an archive. With --wait the exit status is 1 where one was not back in time."""
    from samovar.cli.files import working

    async def work(api: "Api") -> "tuple[list[Any], list[Failed]]":
        return await working.each(
            file_ids, lambda file_id: working.restored(api, quote(file_id, safe=""), wait_s=wait), parallel=parallel
        )

    found, failed = _reached(work, url, admin_token, key, also_jobs=("files-restore",))
    if as_json:
        say_json(found)
    else:
        back = sum(one["is_back"] for one in found)
        note(f"Back: {back} of {len(file_ids)}; on their way: {len(found) - back}.")
    late = [one["file_id"] for one in found if wait and not one["is_back"]]
    _end([*failed, *[working.Failed(file_id, "it is not back yet: ask again") for file_id in late]])


@app.command("verify")
def verify(
    named: Annotated[list[str], typer.Argument(help="Paths of files here, or ids of files there.")],
    parallel: Parallel = 4,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Compare: a path with what the store has, an id's content with its checksum."""
    from samovar.cli.files import getting

    async def work(api: "Api", bars: "Bars") -> "tuple[list[Any], list[Failed]]":
        return await getting.verify(api, named, bars, parallel=parallel)

    found, failed = _with_bars(work, url, admin_token, key)
    if as_json:
        say_json(found)
    else:
        rows = [(one["name"], one["checksum"], ", ".join(one["file_ids"])) for one in found]
        say_table(("is whole", "checksum", "ids"), rows)
    _end(failed)


@app.command("rebuild")
def rebuild(
    element_ids: Elements = None,
    full: Annotated[bool, typer.Option("--full", help="Write rows anew that say something else, too.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Make the database's rows of files anew, from what stands on the storage elements. Exit status 1 where something is still
    wrong."""
    _make_rounds("rebuild", element_ids, {"extent": "full" if full else "incremental"}, as_json, url, admin_token, key)


@app.command("check")
def check(
    element_ids: Elements = None,
    contents: Annotated[bool, typer.Option("--contents", help="Compare contents with their checksums, too.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
    key: Key = None,
) -> None:
    """Compare storage elements with the database's rows, and change nothing. Exit status 1 where something is wrong."""
    _make_rounds("check", element_ids, {"reads_contents": contents}, as_json, url, admin_token, key)


@app.command("begin")
def begin(element_id: Annotated[str, typer.Argument(help="A storage element in a folder of this machine.")]) -> None:
    """Begin a storage element anew, with no file in it, in a folder that has no mark of it. By itself none is begun twice: such
    a folder looks like a disk that is not mounted. A server that runs finds it within seconds."""
    from samovar.cli.files import beginning

    note(f"{element_id} is begun in {beginning.begin(element_id)}.")


def _make_rounds(
    kind: str,
    element_ids: Sequence[str] | None,
    options: dict[str, Any],
    as_json: bool,
    url: str | None,
    admin_token: str | None,
    key: str | None,
) -> None:
    from samovar.cli.files import rounds
    from samovar.cli.files.progress import counts
    from samovar.cli.files.working import Failed

    with counts() as drawn:
        found, failed = _reached(
            lambda api: rounds.make(api, kind, element_ids or (), options, drawn),
            url,
            admin_token,
            key,
            also_jobs=(f"files-{kind}",),
        )
    if as_json:
        say_json(found)
    else:
        _tell_rounds(found)
    wrong = [(one["element_id"], count) for one in found if (count := rounds.still_wrong(one))]
    _end([*failed, *[Failed(element_id, f"{count} things are wrong there") for element_id, count in wrong]])


def _tell_rounds(found: Sequence[Any]) -> None:
    rows = [
        (
            one["element_id"],
            str(one["met"]),
            ", ".join(f"{name} {count}" for name, count in one["faults"].items()) or "nothing",
            ", ".join(f"{name} {count}" for name, count in one["outcomes"].items()),
        )
        for one in found
    ]
    say_table(("element", "looked at", "found", "outcome"), rows, right=("looked at",))
    for one in found:
        for fault in one["findings"]:
            where = f"{one['element_id']} {fault['path'] or fault['file_id'] or ''}"
            note(f"{harmless(where)}: {fault['fault']}, {fault['outcome']}. {harmless(fault['detail'])}")


def _reached(
    work: "Callable[[Api], Awaitable[_T]]",
    url: str | None,
    admin_token: str | None,
    key: str | None,
    *,
    also_jobs: tuple[str, ...] = (),
) -> _T:
    from samovar.cli.api import Credential, reach

    credential = Credential.admin_token(admin_token) if admin_token else Credential.key(key) if key else None
    return reach(work, url=url, credential=credential, also_roles=("files",), also_jobs=also_jobs)


def _with_bars(
    work: "Callable[[Api, Bars], Awaitable[_T]]", url: str | None, admin_token: str | None, key: str | None
) -> _T:
    from samovar.cli.files.progress import bars

    with bars() as drawn:
        return _reached(lambda api: work(api, drawn), url, admin_token, key)


def _each(
    file_ids: Sequence[str],
    one: "Callable[[Api, str], Awaitable[Any]]",
    done: str,
    parallel: int,
    as_json: bool,
    url: str | None,
    admin_token: str | None,
    key: str | None,
) -> None:
    """``done`` begins the line that says how many it was done with."""
    from samovar.cli.files.working import each

    async def work(api: "Api") -> "tuple[list[Any], list[Failed]]":
        return await each(file_ids, lambda file_id: one(api, file_id), parallel=parallel)

    found, failed = _reached(work, url, admin_token, key)
    if as_json:
        say_json(found)
    else:
        note(f"{done} {len(found)} of {len(file_ids)}.")
    _end(failed)


def _listed(
    asked: Sequence[tuple[str, str]], limit: int, url: str | None, admin_token: str | None, key: str | None
) -> list[Any]:
    from samovar.cli.api import ask

    async def work(api: "Api") -> list[Any]:
        items: list[Any] = []
        cursor = None
        while len(items) < limit:
            more = [("limit", str(min(limit - len(items), 100))), *([("cursor", cursor)] if cursor else [])]
            page = await ask(api, "GET", f"{_PATH}?{urlencode([*asked, *more])}")
            items.extend(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items

    return _reached(work, url, admin_token, key)


def _tell_files(found: list[Any], failed: "list[Failed]", as_json: bool) -> None:
    if as_json:
        say_json(found)
    elif found:
        rows = [
            (one["file_id"], one["filename"], str(one["size_bytes"]), one["content_type"], one["created_at"][:16])
            for one in found
        ]
        say_table(("id", "name", "bytes", "type", "made"), rows, right=("bytes",))
    _end(failed)


def _end(failed: "Sequence[Failed]") -> None:
    if not failed:
        return
    from samovar.cli.files.working import complain_of

    complain_of(failed)
    raise typer.Exit(1)
