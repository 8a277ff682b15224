"""What the sandbox refuses, before a surface puts it into its vendor's words."""

from typing import Final

import msgspec

from samovar.kernel.errors import SamovarError

RATE_LIMITED: Final = 429
OVERLOADED: Final = 529


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error answer, free of any vendor's shape.

    ``status`` is the HTTP status; ``code`` and ``param`` are as OpenAI uses them; ``retry_after_s`` becomes the
    ``Retry-After`` header.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after_s: int | None = None


class Refused(SamovarError):
    """A request that gets ``problem`` for an answer."""

    code = "sandbox_refused"
    status = 400
    title = "The sandbox refused the request"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> Refused:
    """Status 400 with ``message``."""
    return Refused(Problem(status=400, message=message, param=param, code=code))
