"""``samovar providers``: who serves models, with their keys."""

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from samovar.cli.output import AsJson, CannotDo, note, say, say_json, say_table
from samovar.cli.targets import AdminToken, Url, call_all, credential_of

app = typer.Typer(no_args_is_help=True, help="Providers of models.")


@app.command("list")
def list_providers(as_json: AsJson = False, url: Url = None, admin_token: AdminToken = None) -> None:
    """List the providers, those of the environment too. Of their keys only a hint is shown."""
    found = call_all("/api/providers", url, admin_token)
    if as_json:
        return say_json(found)
    rows = [
        (
            one["name"],
            one["vendor"],
            one["base_url"],
            str(len(one["key_hints"])),
            ", ".join(one["key_hints"]) or "none",
            one["source"],
            "all" if one["models"] is None else str(len(one["models"])),
            "on" if one["enabled"] else "off",
        )
        for one in found
    ]
    columns = ("name", "vendor", "address", "keys", "ending in", "from", "models", "state")
    return say_table(columns, rows, right=("keys", "models"))


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What stands before the slash in its models' names.")],
    vendor: Annotated[str | None, typer.Option(help="Whose API it speaks; without it, the one called NAME.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Its address; without it, the vendor's own.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="Its key, or several with commas between, which take turns; `-` reads from standard input, which no list of "
            "processes shows."
        ),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="The only models it serves; repeatable.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Add a provider. One with the name of a provider from the environment takes its place."""
    from samovar.cli.api import ask, reach
    from samovar.providers.vendors import VENDORS

    vendor = vendor or name
    if vendor not in VENDORS:
        raise CannotDo(f"there is no vendor {vendor!r}: say --vendor, one of {', '.join(sorted(VENDORS))}")
    order: dict[str, Any] = {"name": name, "vendor": vendor, "base_url": base_url, "models": model or None}
    keys = _key(api_key, asked=VENDORS[vendor].needs_key, name=name) or ""
    order["api_keys"] = [key.strip() for key in keys.split(",") if key.strip()]
    made = reach(lambda api: ask(api, "POST", "/api/providers", order), url=url, credential=credential_of(admin_token))
    if as_json:
        return say_json(made)
    return note(f"{name} is added; its models are {name}/<model>. `samovar providers discover {name}` lists them.")


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Its name or id.")], url: Url = None, admin_token: AdminToken = None
) -> None:
    """Remove a provider and its key."""
    from samovar.cli.api import Api, ask, reach

    async def work(api: Api) -> None:
        await ask(api, "DELETE", f"/api/providers/{await _id_of(api, name)}")

    reach(work, url=url, credential=credential_of(admin_token))
    note(f"{name} is removed; processes that run notice within 10 s.")


@app.command("discover")
def discover(
    name: Annotated[str, typer.Argument(help="Its name or id.")],
    as_json: AsJson = False,
    url: Url = None,
    admin_token: AdminToken = None,
) -> None:
    """Ask a provider which models it has. Nothing is stored."""
    from samovar.cli.api import Api, ask, reach

    async def work(api: Api) -> Any:
        return await ask(api, "POST", f"/api/providers/{await _id_of(api, name)}/discover")

    models = reach(work, url=url, credential=credential_of(admin_token))["models"]
    if as_json:
        return say_json(models)
    return say("\n".join(models))


async def _id_of(api: Any, name: str) -> str:
    from samovar.cli.api import ask_all

    for one in await ask_all(api, "/api/providers"):
        if name in (one["name"], one["id"]):
            return quote(one["id"], safe="")
    raise CannotDo(f"there is no provider {name!r}: `samovar providers list` shows those there are")


def _key(given: str | None, *, asked: bool, name: str) -> str | None:
    if given == "-":
        return sys.stdin.readline().strip() or None
    if given is None and asked and sys.stdin.isatty():
        return typer.prompt(f"The API key of {name}", hide_input=True, err=True) or None
    if given is None and asked:
        raise CannotDo(f"{name} needs a key: give --api-key, or --api-key - and the key on standard input")
    return given
