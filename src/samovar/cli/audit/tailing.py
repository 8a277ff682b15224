"""The newest records, and those that come."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from samovar.cli.api import Api, Credential, ask, reach

_EVERY_S: Final = 1.0
_PAGE: Final = 100


def tail(
    wanted: Mapping[str, str | None],
    *,
    lines: int,
    follow: bool,
    write: Callable[[Any], None],
    url: str | None,
    credential: Credential | None,
) -> None:
    """Write them in the order of the chain. Raises as :func:`samovar.cli.api.reach`."""
    query = urlencode({name: value for name, value in wanted.items() if value is not None})

    async def work(api: Api) -> None:
        newest = (await ask(api, "GET", f"/api/audit?{query}&limit={lines}"))["items"]
        seen = 0
        for record in reversed(newest):
            write(record)
            seen = record["sequence"]
        while follow:
            await asyncio.sleep(_EVERY_S)
            for record in await _since(api, query, seen):
                write(record)
                seen = record["sequence"]

    reach(work, url=url, credential=credential)


async def _since(api: Api, query: str, seen: int) -> list[Any]:
    found: list[Any] = []
    cursor = ""
    while True:
        page = await ask(api, "GET", f"/api/audit?{query}&limit={_PAGE}{cursor}")
        fresh = [record for record in page["items"] if record["sequence"] > seen]
        found += fresh
        if len(fresh) < _PAGE or page["next_cursor"] is None:
            return found[::-1]
        cursor = f"&cursor={page['next_cursor']}"
