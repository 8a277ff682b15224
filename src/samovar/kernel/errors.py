"""The root of every failure that a caller may see.

A subclass names one failure: a stable ``code``, an HTTP ``status`` and a ``title`` that never vary; ``detail`` says what
was wrong, where, and what to do. Services raise them; the edges alone turn them into responses, in the shape of the
surface that was called (RFC 9457 on our own, the vendor's on vendor-compatible ones).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

UNEXPECTED: Final = "an internal error; the log has it under this request id"
"""What a caller is told of a defect of ours."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a request: ``where`` is a JSON path, a header or a parameter."""

    where: str
    what: str


class SamovarError(Exception):
    """Base of all our failures. Never raised itself."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        flaws: Sequence[Flaw] = (),
        headers: Mapping[str, str] | None = None,
        hints: Mapping[str, str] | None = None,
    ) -> None:
        """``hints`` are for programs: members of our own problem documents (RFC 9457, 3.2)."""
        super().__init__(detail)
        self.detail = detail
        self.flaws = tuple(flaws)
        self.headers = dict(headers or {})
        self.hints = dict(hints or {})

    @property
    def http_status(self) -> int:
        """The status the caller sees; an error that carries somebody else's status answers otherwise."""
        return self.status


class Malformed(SamovarError):
    """The request could not be read at all."""

    code = "malformed_request"
    status = 400
    title = "Malformed request"


class Invalid(SamovarError):
    """The request was read, and something in it breaks a rule."""

    code = "invalid_request"
    status = 422
    title = "Invalid request"


class Unauthenticated(SamovarError):
    """No credential, or one that is not good any more."""

    code = "unauthenticated"
    status = 401
    title = "Not signed in"


class Forbidden(SamovarError):
    """A good credential without the permission."""

    code = "forbidden"
    status = 403
    title = "Not allowed"


class NotFound(SamovarError):
    """Nothing there, or nothing that this caller may see: the two look alike on purpose."""

    code = "not_found"
    status = 404
    title = "Not found"


class Conflict(SamovarError):
    """The thing exists, or its state does not allow this."""

    code = "conflict"
    status = 409
    title = "Conflict"


class StaleRevision(SamovarError):
    """``If-Match`` names a revision that is not the current one: somebody else was faster."""

    code = "stale_revision"
    status = 412
    title = "It was changed in the meantime"

    def __init__(self, *, current: int | None = None) -> None:
        stands = "It was changed meanwhile" if current is None else f"It stands at revision {current} by now"
        super().__init__(f"{stands}: read it again and redo the change.")


class BodyTooLarge(SamovarError):
    """A body over the bound of its route."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413
    title = "Body too large"


class BodyTooSlow(SamovarError):
    """A body that did not arrive within its time."""

    code = "request_timeout"
    status = 408
    title = "The request took too long to arrive"


class TooManyRequests(SamovarError):
    """A limit was reached; ``Retry-After`` says when to come back."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"


class Unavailable(SamovarError):
    """Something we stand on does not answer."""

    code = "unavailable"
    status = 503
    title = "Temporarily unavailable"
