"""Revisions over HTTP: a thing's ``ETag``, and the ``If-Match`` of somebody who changes it (RFC 9110, section 13.1.1)."""

from samovar.kernel.errors import Flaw, Malformed


def etag(revision: int) -> str:
    """The value of the header."""
    return f'"{revision}"'


def expected_revision(if_match: str | None) -> int | None:
    """The revision of an ``If-Match``; ``*`` and none at all are ``None``. Raises ``Malformed``."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Malformed(
            "If-Match must be an ETag that this resource gave out.", flaws=[Flaw("If-Match", "is not one of our ETags")]
        )
    return int(text)
