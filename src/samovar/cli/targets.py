"""Options that several commands share, and a call of the API that they name."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from samovar.cli.api import Credential


class By(StrEnum):
    """What a line of ``samovar usage`` stands for."""

    MODEL = "model"
    PROVIDER = "provider"
    KEY = "key"
    SURFACE = "surface"
    PROJECT = "project"
    USER = "user"
    ROUTE = "route"
    PROMPT = "prompt"
    DAY = "day"
    HOUR = "hour"


Url: TypeAlias = Annotated[
    str | None, typer.Option(envvar="SAMOVAR_URL", help="A running Samovar; without it, this installation's database.")
]
AdminToken: TypeAlias = Annotated[
    str | None, typer.Option(envvar="ADMIN_TOKEN", help="Who you are to the Samovar at --url.")
]
Key: TypeAlias = Annotated[
    str | None, typer.Option(envvar="SAMOVAR_KEY", help="A gateway key. `samovar keys create NAME` makes one.")
]


# What a call needs is loaded when a command runs, not for `--help`.


def call(method: str, path: str, body: Any, url: str | None, admin_token: str | None) -> Any:
    """The answer's JSON. Raises as ``api.reach`` and ``api.ask``."""
    from samovar.cli.api import ask, reach

    return reach(lambda api: ask(api, method, path, body), url=url, credential=credential_of(admin_token))


def call_all(path: str, url: str | None, admin_token: str | None) -> list[Any]:
    """All items of a list. Raises as :func:`call`."""
    from samovar.cli.api import ask_all, reach

    return reach(lambda api: ask_all(api, path), url=url, credential=credential_of(admin_token))


def credential_of(admin_token: str | None) -> "Credential | None":
    """The administrator's, where a token was given."""
    from samovar.cli.api import Credential

    return Credential.admin_token(admin_token) if admin_token else None
