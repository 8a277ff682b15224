"""What the settings of backups must look like: types for their fields."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_settings import NoDecode

from samovar.adapters.jobs.schedule import checked_schedule
from samovar.adapters.objects import checked_url
from samovar.app.settings.addresses import web_address
from samovar.kernel.errors import SamovarError


def _place(value: str) -> str:
    return value and checked_url(value)


def _endpoint(value: str) -> str:
    return value and web_address(value)


def _recipients(value: tuple[str, ...]) -> tuple[str, ...]:
    from samovar.adapters.age import parse_recipient

    for one in value:
        try:
            parse_recipient(one)
        except SamovarError as error:
            raise ValueError(error.detail) from error
    return value


Place = Annotated[str, AfterValidator(_place)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Recipients = Annotated[tuple[str, ...], NoDecode, AfterValidator(_recipients)]
Schedule = Annotated[str, AfterValidator(checked_schedule)]
