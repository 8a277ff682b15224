"""Options that several commands share."""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class By(StrEnum):
    """What a line of ``samovar usage`` stands for."""

    MODEL = "model"
    PROVIDER = "provider"
    KEY = "key"
    SURFACE = "surface"
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
