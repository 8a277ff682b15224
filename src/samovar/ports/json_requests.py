"""A caller's JSON, read: what does not fit becomes :class:`Malformed` with a JSON path; what cannot be said at the chosen
vendor is gathered into one :class:`Unsupported`."""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, ParamSpec, TypeVar

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw, Malformed
from samovar.ports.dialect import Unsupported

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that a decoder raises for bytes of somebody else: deep nesting is a ``RecursionError``."""

_PLACED: Final = re.compile(r"^(?P<what>.*) - at `\$(?P<path>.*)`$", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(?P<field>[^`]+)`")
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_T = TypeVar("_T")
_P = ParamSpec("_P")


def decode(data: bytes | Raw, shape: type[_T], *, where: str = "$") -> _T:
    """``data`` as ``shape``. Raises ``Malformed`` whose flaw names the JSON path from the body's root."""
    try:
        found: _T = _decoder(shape)(data)  # type: ignore[arg-type]  # a type is hashable
    except UNREADABLE as error:
        raise malformed(error, where=where, body=bytes(data)) from error
    return found


@functools.cache
def _decoder(shape: object) -> Callable[[bytes | Raw], Any]:
    """Made once for each of the few shapes: what a ``dict[str, Raw]`` means takes longer to find out than to read one."""
    return msgspec.json.Decoder(shape).decode


def malformed(error: Exception, *, where: str = "$", body: bytes | None = None) -> Malformed:
    """The words for one of :data:`UNREADABLE`, its path put under ``where``; a ``ValueError`` of ours that names no path
    counts as said of ``where``. With the ``body`` at hand the words are truer."""
    if isinstance(error, RecursionError):
        return Malformed("The body is nested too deeply.", flaws=(Flaw(where, "nested too deeply"),))
    if isinstance(error, UnicodeDecodeError) or (
        isinstance(error, msgspec.MsgspecError) and not isinstance(error, msgspec.ValidationError)
    ):
        return Malformed(f"The body is not valid JSON: {_flaw_of(error, body)}", flaws=(Flaw(where, "not valid JSON"),))
    return misfit(str(error), where=where)


def _flaw_of(error: Exception, body: bytes | None) -> str:
    """The decoder calls an empty body and half a surrogate pair "truncated" too."""
    if body is not None and "truncated" in str(error):
        if not body.strip():
            return "the body is empty"
        half = _HALF_PAIR.search(body)
        if half is not None:
            return f"half a surrogate pair ({half[0].decode()}) at byte {half.start()} is no character"
        return "it ends in the middle"
    return str(error)


def misfit(text: str, *, where: str) -> Malformed:
    """What msgspec's ``ValidationError`` found, with its path put under ``where``."""
    placed = _PLACED.match(text)
    what, path = (placed["what"], where + placed["path"]) if placed else (text, where)
    missing = _MISSING.search(what)
    if missing:
        path, what = f"{path}.{missing['field']}", "this field is required"
    return flawed(path, what)


def flawed(where: str, what: str) -> Malformed:
    """One flaw, said in the detail as well."""
    return Malformed(f"{where}: {what}", flaws=(Flaw(where, what),))


def check_text(body: bytes) -> None:
    """Raises ``Malformed`` for bytes that are not UTF-8."""
    # What is skipped is not checked by the decoder, and must not reach a vendor as bytes that are no text.
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise flawed("$", f"the body is not UTF-8: {error.reason} at byte {error.start}") from error


def bounded_nesting(read: Callable[_P, _T]) -> Callable[_P, _T]:
    """Deep nesting is ``Malformed`` wherever inside ``read`` it is found: how deep a decoder gets depends on who calls it, so
    a body may pass the first reading and not the second."""

    @functools.wraps(read)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return read(*args, **kwargs)
        except RecursionError as error:
            raise malformed(error) from error

    return guarded


class Refusals:
    """What the vendor cannot be told, gathered so that the caller learns of everything at once; or left out, on request."""

    def __init__(self, *, drop: bool) -> None:
        self._drop = drop
        self._flaws: list[Flaw] = []

    def note(self, where: str, what: str) -> None:
        """Something that has to be left out."""
        self.extend((Flaw(where, what),))

    def extend(self, flaws: Iterable[Flaw]) -> None:
        """Several of them."""
        if not self._drop:
            self._flaws.extend(flaws)

    def settle(self, title: str) -> None:
        """Raises :class:`Unsupported` if anything was noted. ``title`` names the vendor."""
        if self._flaws:
            raise Unsupported(
                f"{title} cannot do all that was asked: "
                + "; ".join(f"{flaw.where}: {flaw.what}" for flaw in self._flaws)
                + ". Leave it out, choose another model, or set drop_params.",
                flaws=self._flaws,
            )
