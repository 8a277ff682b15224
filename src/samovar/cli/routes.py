"""``samovar routes``: where a request would go, and why."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from samovar.cli.output import AsJson, CannotDo, note, say_json, say_table
from samovar.cli.targets import AdminToken, Key, Url

app = typer.Typer(no_args_is_help=True, help="Where requests go.")

_COLUMNS = ("try", "model", "standing", "score", "credits", "seconds", "quality", "notes")


@app.command("explain")
def explain(
    model: Annotated[str, typer.Argument(help="A group, group:cost, auto:balanced, or any model's name.")],
    prompt: Annotated[str, typer.Argument(help="What would be asked.")] = "Hello",
    request: Annotated[
        Path | None, typer.Option(help="A file with the whole request's body, in place of PROMPT.")
    ] = None,
    surface: Annotated[str, typer.Option(help="chat, responses, messages, gemini or embeddings.")] = "chat",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The bound on the answer.")] = None,
    cheaper: Annotated[bool, typer.Option("--cheaper", help="As if a budget asked for cheaper targets.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    admin_token: AdminToken = None,
) -> None:
    """Show the ranked plan for a request, without sending it.

    With --url it is the answer of the server that runs; without, nothing is known yet of how targets do.
    """
    from samovar.cli.api import Credential, ask, reach

    said = _body(surface, model, prompt, max_tokens) if request is None else _read(request)
    body = {"surface": surface, "model": model, "request": said, "prefer_cheaper": cheaper}
    credential = Credential.key(key) if key and url else None
    if credential is None and admin_token:
        credential = Credential.admin_token(admin_token)
    found = reach(lambda api: ask(api, "POST", "/api/routes/explain", body), url=url, credential=credential)
    if as_json:
        return say_json(found)
    say_table(
        _COLUMNS, [_row(one) for one in found["targets"]], right=("try", "score", "credits", "seconds", "quality")
    )
    for one in found["excluded"]:
        note(f"ruled out: {one['model']} {', '.join(one['reasons'])}")
    return note(found["why"])


def _body(surface: str, model: str, prompt: str, max_tokens: int | None) -> dict[str, Any]:
    said = [{"role": "user", "content": prompt}]
    bound: dict[str, Any]
    match surface:
        case "responses":
            bound = {"max_output_tokens": max_tokens}
            return {"model": model, "input": prompt, **(bound if max_tokens else {})}
        case "messages":
            return {"model": model, "messages": said, "max_tokens": max_tokens or 1024}
        case "gemini":
            bound = {"generationConfig": {"maxOutputTokens": max_tokens}}
            return {"contents": [{"role": "user", "parts": [{"text": prompt}]}], **(bound if max_tokens else {})}
        case "embeddings":
            return {"model": model, "input": prompt}
        case _:
            bound = {"max_tokens": max_tokens}
            return {"model": model, "messages": said, **(bound if max_tokens else {})}


def _read(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise CannotDo(f"{path} is not JSON: {error}") from error


def _row(one: Any) -> tuple[str, ...]:
    return (
        "" if one["attempt"] is None else str(one["attempt"]),
        one["model"],
        one["standing"],
        _figure(one["score"]),
        one["cost_credits"] or "?",
        _figure(one["latency_s"]),
        _figure(one["quality"]),
        "; ".join(one["notes"]),
    )


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
