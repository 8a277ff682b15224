"""Addresses among the settings: what each must look like. Every function gives back the address, or raises ``ValueError`` with
the rest of a sentence that begins with the setting's name."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_WEB: Final = ("http", "https")
_PROXY: Final = (*_WEB, "socks4", "socks4a", "socks5", "socks5h")
_OPAQUE_ORIGIN: Final = "null"
_UNFIT: Final = re.compile(r"[^!-~]")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_USUAL_PORTS: Final = {"http": 80, "https": 443}


def web_address(value: str) -> str:
    """Of a server that speaks HTTP; it may have a path."""
    found = _split(value)
    if found is None or found.scheme not in _WEB or found.username is not None or found.query or found.fragment:
        raise ValueError("must be an http or https address, such as https://example.org:8443/path")
    return value


def proxy_address(value: str) -> str:
    """Of a proxy; it may have a user's name and password."""
    found = _split(value)
    if found is None or found.scheme not in _PROXY:
        raise ValueError(f"must be a proxy's address, such as http://host:3128 ({', '.join(_PROXY)})")
    return value


def origin(value: str) -> str:
    """As browsers write it (RFC 6454): it is compared letter by letter."""
    if value in ("*", _OPAQUE_ORIGIN):
        return value
    found = _split(value)
    if found is None or not _SCHEME.fullmatch(found.scheme):
        raise ValueError(f"{value!r} is no origin, such as https://app.example.org")
    host = f"[{found.hostname}]" if ":" in (found.hostname or "") else found.hostname
    port = "" if found.port in (None, _USUAL_PORTS.get(found.scheme)) else f":{found.port}"
    written = f"{found.scheme}://{host}{port}"
    if value != written:
        raise ValueError(f"{value!r} is no origin; browsers would write {written}")
    return value


def _split(value: str) -> SplitResult | None:
    """``None`` for what has no scheme and no host."""
    if _UNFIT.search(value) or "://" not in value:
        return None
    try:
        found = urlsplit(value)
        # Read here, because it is checked only when it is read.
        return found if found.hostname and (found.port is None or found.port > 0) else None
    except ValueError:
        return None
