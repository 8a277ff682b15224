"""The bytes of a request. Nothing that a key, a header or a URL holds can begin a second header or a second request."""

from typing import Final
from urllib.parse import SplitResult, urlsplit

from samovar.ports.transport import HttpRequest, NotCalled

PORTS: Final = {"http": 80, "https": 443}
_PRINTABLE: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""What a header's value may hold (RFC 9110, 5.5)."""
_METHODS: Final = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
_BAD_URL: Final = "the provider's base_url holds a character that no URL may"


def parts_of(url: str) -> SplitResult:
    """An absolute http or https URL in its parts, its port within range. Raises :class:`ConnectFailed`."""
    # Before urlsplit, which drops line breaks and tabs in silence and so would call another URL than was written.
    if not url.isascii() or not url.isprintable() or " " in url:
        raise NotCalled(_BAD_URL)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotCalled("the provider's base_url is no http or https URL") from error
    if parts.scheme not in PORTS or port == 0:
        raise NotCalled("the provider's base_url is no http or https URL")
    if not parts.hostname:
        raise NotCalled("the provider's base_url names no host")
    if parts.username is not None or parts.password is not None:
        raise NotCalled("the provider's base_url holds a user name: sign in with a header instead")
    return parts


def head_of(method: str, parts: SplitResult) -> bytes:
    """The beginning of every request with this method to this URL. HEAD is not among the methods: its answers name a body that
    never comes. Raises :class:`ConnectFailed`."""
    if method not in _METHODS:
        raise NotCalled("no request to a provider has such a method")
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is not None and parts.port != PORTS[parts.scheme]:
        host = f"{host}:{parts.port}"
    head = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: samovar\r\naccept-encoding: identity\r\n"
    return head.encode("ascii")


def bytes_of(head: bytes, request: HttpRequest) -> bytes:
    """The whole request. Raises :class:`ConnectFailed` for a header that is none."""
    try:
        headers = "\r\n".join((*map(": ".join, request.headers), "")).encode("latin-1")
    except UnicodeEncodeError as error:
        raise NotCalled("a header for the provider holds a character that none may") from error
    if headers.translate(None, _PRINTABLE) != b"\r\n" * len(request.headers):
        # The key or a forwarded header holds a line break: it would be a second header, or a second request.
        raise NotCalled("a header for the provider holds a line break or another control character")
    return b"%bcontent-length: %d\r\n%b\r\n%b" % (head, len(request.body), headers, request.body)
