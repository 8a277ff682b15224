"""Fetching what a stranger's URL names, from the public internet and nowhere else."""

from dataclasses import dataclass
from typing import Protocol

from samovar.kernel.errors import BodyTooLarge, Invalid, Unavailable


class UrlRefused(Invalid):
    """The URL is none that is fetched: its scheme, host, port or form, or it leads into a network that is not public."""

    code = "url_refused"
    title = "That URL is not fetched"


class UrlUnreachable(Invalid):
    """The URL may be fetched, and could not be: no such host, no answer in time, an answer other than 200."""

    code = "url_unreachable"
    title = "The URL could not be fetched"


class UrlTooLarge(BodyTooLarge):
    """What the URL names has more bytes than were asked for."""

    code = "url_too_large"
    title = "What the URL names is too large"


class FetchesBusy(Unavailable):
    """As many URLs are being fetched as may be."""

    code = "fetches_busy"
    title = "Too many URLs at once"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: its bytes, and the type that the server declared (``""`` where it did not), which nobody should believe."""

    content: bytes
    declared_type: str


class Fetch(Protocol):
    """Fetches URLs that came from outside."""

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float) -> Fetched:
        """GET a URL, over at most three redirects, within ``timeout_s`` seconds in all; at most ``max_bytes`` are read.

        Raises :class:`UrlRefused` and :class:`UrlUnreachable` (422), :class:`UrlTooLarge` (413), :class:`FetchesBusy`
        (503). No detail tells an address: whoever asks may be mapping our network.
        """
        ...
