"""From what a caller gave as pictures to what goes to a vendor: an address that it fetches itself, or a prepared picture."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from contextlib import aclosing
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from samovar.domains.catalog.model import Target
from samovar.domains.files.service import FileReads
from samovar.domains.vision.errors import BadAsk, StoredImageLate
from samovar.domains.vision.model.asking import Address, Content, Encoded, Given, Stored
from samovar.domains.vision.model.choosing import fetch_themselves
from samovar.kernel.principal import Principal
from samovar.ports.fetch import Fetch, UrlRefused
from samovar.ports.image_limits import limits_of
from samovar.ports.images import ImageLimits, Images, ImageTooLarge, tightest

MAX_IMAGE_BYTES: Final = 20_000_000
FETCH_TIMEOUT_S: Final = 15.0
READ_TIMEOUT_S: Final = 15.0
"""For the content of a stored file, its turn included."""
_READ_AT_ONCE: Final = 4
"""So many stored files are being read into memory, whoever asks for how many."""
_LATE: Final = {"Retry-After": "5"}
_STEP_CHARS: Final = 256 * 1024
"""So much base64 takes half a millisecond to read."""
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_WHITE: Final = b" \t\r\n"


class Pictures:
    """Makes pictures fit for the models that may look at them."""

    def __init__(
        self, *, images: Images, fetch: Fetch, files: FileReads, read_timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self._images = images
        self._fetch = fetch
        self._files = files
        self._read_timeout_s = read_timeout_s
        self._turns = asyncio.Semaphore(_READ_AT_ONCE)

    async def fit(
        self, given: Sequence[Given], targets: Sequence[Target], principal: Principal, *, fetch: bool | None
    ) -> list[str]:
        """An address or a ``data:`` URL for each. What stands at an address is fetched by us where the caller wants that
        (``fetch``), and where a vendor of ``targets`` would not fetch it from a network of its own; a stored file is one that
        ``principal`` may see. One after another: the workers are everybody's.

        Raises what :class:`~samovar.ports.images.Images`, :class:`~samovar.ports.fetch.Fetch` and
        :class:`~samovar.domains.files.service.FileReads` raise, ``StoredImageLate`` and ``BadAsk``.
        """
        vendors = {target.provider.vendor for target in targets}
        limits = tightest(*[limits_of(vendor) for vendor in sorted(vendors)])
        passes_on = not fetch and fetch_themselves(targets)
        return [await self._one(one, limits, principal, passes_on=passes_on) for one in given]

    async def _one(self, given: Given, limits: ImageLimits, principal: Principal, *, passes_on: bool) -> str:
        match given:
            case Address(url):
                require_public(url)
                if passes_on:
                    return url
                content = (await self._fetch.fetch(url, max_bytes=MAX_IMAGE_BYTES, timeout_s=FETCH_TIMEOUT_S)).content
            case Encoded():
                content = await decoded(given)
            case Stored(file_id):
                content = await self._stored(file_id, principal)
            case Content(content):
                pass
        if not content:
            raise BadAsk(given.where, "the image is empty")
        picture = await self._images.prepare(content, limits=limits)
        return f"data:{picture.media_type};base64,{base64.b64encode(picture.content).decode('ascii')}"

    async def _stored(self, file_id: str, principal: Principal) -> bytes:
        """By what it holds, not by what it is called: an upload need not say what it is."""
        seen = self._files.recall(principal, file_id) or await self._files.find(principal, file_id)
        size_bytes = seen.file.attributes.size_bytes
        if size_bytes > MAX_IMAGE_BYTES:
            raise ImageTooLarge(f"The file {file_id} has {size_bytes} bytes; of an image {MAX_IMAGE_BYTES} are read.")
        try:
            async with (
                asyncio.timeout(self._read_timeout_s),
                self._turns,
                aclosing(await self._files.content(seen.file, start=0, end=size_bytes)) as pieces,
            ):
                return b"".join([piece async for piece in pieces])
        except TimeoutError as error:
            raise StoredImageLate(
                f"The content of {file_id} did not come within {self._read_timeout_s:g} seconds. Try again.",
                headers=_LATE,
            ) from error


def require_public(url: str) -> None:
    """Refuse an address that is plainly of a private network, whoever would fetch it. Raises ``UrlRefused``."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        host = ""
    if not host:
        raise UrlRefused("The address of the image has no host: write https://host/path.")
    if host == "localhost" or host.endswith(".localhost"):
        raise UrlRefused("The address of the image leads into a private network; only public ones are taken.")
    try:
        address = ip_address(host)
    except ValueError:
        return
    if not address.is_global:
        raise UrlRefused("The address of the image leads into a private network; only public ones are taken.")


async def decoded(given: Encoded) -> bytes:
    """The bytes of base64, in the standard or the URL's alphabet, with or without padding and white space. In steps between
    which others go on. Raises ``BadAsk``."""
    found: list[bytes] = []
    left = b""
    try:
        if len(given.text) > _STEP_CHARS:
            await asyncio.sleep(0)
        raw = given.text.encode("ascii")
        for at in range(0, len(raw), _STEP_CHARS):
            if at:
                await asyncio.sleep(0)
            step = left + raw[at : at + _STEP_CHARS].translate(_TO_STANDARD, _WHITE)
            whole = 0 if at + _STEP_CHARS >= len(raw) else len(step) // 4 * 4
            if whole:
                if b"=" in step[:whole]:
                    raise binascii.Error("padding before the end")
                found.append(binascii.a2b_base64(step[:whole], strict_mode=True))
            left = step[whole:]
        left += b"=" * (-len(left) % 4)
        found.append(binascii.a2b_base64(left, strict_mode=True))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadAsk(given.where, "is not valid base64") from error
    if len(found) > 1:
        await asyncio.sleep(0)
    return b"".join(found)
