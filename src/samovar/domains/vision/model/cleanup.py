"""Cleaning an answer of what a pattern finds, the same whether it comes whole or in pieces.

* What the pattern finds is taken out: all of it with the flag ``g``, else the first find alone. ``i``, ``m`` and ``s`` mean what
  they mean in RE2 (and in JavaScript).
* A pattern of which it is plain that it finds nothing across the end of a line is held against each line by itself, which
  comes to the same. A line goes out when it is whole; where the pattern must begin at a line's beginning with a plain word,
  a line that begins otherwise goes out as it comes.
* In a line of more than :data:`LONG_LINE_CHARS` all finds of a pattern that may begin anywhere are looked for as below:
  RE2 takes time that grows with the text for one find, so with its square for all.
* Any other pattern looks at :data:`WINDOW_CHARS` characters ahead: it finds what it would find in the whole text up to
  that length, and what is longer up to :data:`LONGEST_FIND_CHARS` where it goes on growing as more is read. So much is
  held back.

Everything here is decided by the text alone, never by how it was cut.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from samovar.domains.vision.errors import BadPattern
from samovar.kernel.patterns import Pattern, compiled

DEFAULT_PATTERN: Final = "^(?:System|Meta|Debug).*$"
DEFAULT_FLAGS: Final = "gmi"
MAX_PATTERN_CHARS: Final = 1_000
WINDOW_CHARS: Final = 4_096
LONGEST_FIND_CHARS: Final = 65_536
STRIDE_CHARS: Final = 256
"""How many beginnings are looked at in one window."""
LONG_LINE_CHARS: Final = 2_048
_MAX_OPENING_CHARS: Final = 200
_PLAIN_RESTS: Final = ("", "$", ".*", ".*$")
"""What may follow an opening for a line's find to take no longer than a look at it."""

_FLAGS: Final = "gims"
_INLINE: Final = "ims"
# Whatever may stand for a line's end (escapes but these, classes that say what they leave out, named classes, flags within the
# pattern) makes a pattern one that is held against windows: too careful is slow, too bold would be wrong.
_WITHIN_A_LINE: Final = re.compile(
    r"(?:\\[dwSbBAz.^$|?*+()\[\]{}/#:;,<>=@!%&~\"'` -]|\[(?![\^:])|\((?!\?)|\(\?:|[^\\\[(\x00-\x1f\x7f-\x9f])*"
)
_OPENING: Final = re.compile(r"\^(?:(?P<word>[\w -]+)|\((?:\?:)?(?P<words>[\w -]+(?:\|[\w -]+)*)\))(?P<rest>[^|]*)")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Cleanup(msgspec.Struct, frozen=True):
    """A pattern in RE2's syntax and its flags, in JavaScript's letters."""

    pattern: str = DEFAULT_PATTERN
    flags: str = DEFAULT_FLAGS


DEFAULT: Final = Cleanup()


class Cleaner(Protocol):
    """Cleans one text."""

    def feed(self, piece: str) -> str:
        """What may go out now."""
        ...

    def end(self) -> str:
        """The rest."""
        ...


def cleaner(cleanup: Cleanup) -> Callable[[], Cleaner]:
    """What makes a new :class:`Cleaner`. Raises :class:`BadPattern`."""
    finder = _compiled(cleanup)
    finds_all = "g" in cleanup.flags
    if "s" in cleanup.flags or not _WITHIN_A_LINE.fullmatch(cleanup.pattern):
        return lambda: WindowCleaner(finder, finds_all=finds_all)
    opening = _opening(cleanup)
    return lambda: LineCleaner(finder, finds_all=finds_all, opening=opening)


def is_slow(cleanup: Cleanup) -> bool:
    """Whether cleaning may take long for a text's size (measured: 10 ms for 1,000 characters). Never so for what begins a line
    with plain words and takes it whole, or them alone. Raises :class:`BadPattern`."""
    found = _OPENING.fullmatch(cleanup.pattern)
    return found is None or found["rest"] not in _PLAIN_RESTS or _opening(cleanup) is None


def cleaned(text: str, make: Callable[[], Cleaner]) -> str:
    """A whole text, cleaned."""
    one = make()
    return one.feed(text) + one.end()


class LineCleaner:
    """Line by line. Invariant: ``_held`` is the beginning of the line under way, of which nothing went out, unless ``_passes``:
    then the pattern cannot find anything in what is left of the line."""

    def __init__(self, finder: Pattern, *, finds_all: bool, opening: "Opening | None" = None) -> None:
        self._finder = finder
        self._finds_all = finds_all
        self._opening = opening
        self._held: list[str] = []
        self._is_first = True
        self._opens = False
        self._passes = False
        self._is_done = False

    def feed(self, piece: str) -> str:
        """See :class:`Cleaner`."""
        if self._is_done:
            return piece
        *whole, rest = piece.split("\n")
        out = [self._line(line) + "\n" for line in whole]
        out.append(self._begun(rest))
        return "".join(out)

    def end(self) -> str:
        """See :class:`Cleaner`."""
        held, self._held = "".join(self._held), []
        return held if self._passes or self._is_done else self._found_out(held, is_last=True)

    def _line(self, rest: str) -> str:
        held = "".join((*self._held, rest))
        out = held if self._passes or self._is_done else self._found_out(held, is_last=False)
        self._held, self._opens, self._passes, self._is_first = [], False, False, False
        return out

    def _begun(self, piece: str) -> str:
        """The beginning of a line, or more of it."""
        if self._passes or self._is_done:
            return piece
        if piece:
            self._held.append(piece)
        if self._opening is None or self._opens or not self._held:
            return ""
        held = "".join(self._held)
        self._opens = self._opening.is_in(held)
        if self._opens or self._opening.may_come(held):
            return ""
        self._held, self._passes = [], True
        return held

    def _found_out(self, line: str, *, is_last: bool) -> str:
        if self._finds_all and self._opening is None and len(line) > LONG_LINE_CHARS:
            return self._by_windows(line, is_last=is_last)
        # With what stands before and behind it, so that a text's beginning and end are not found at a line's.
        start = 0 if self._is_first else 1
        seen = _readable(line if self._is_first else f"\n{line}")
        if not is_last:
            seen += "\n"
        end = start + len(line)
        out: list[str] = []
        done = start
        # One pass: to begin a search anew at each find would take time that grows with the square of the line.
        for match in self._finder.finditer(seen, start):
            if match.start() > end:
                break
            out.append(line[done - start : match.start() - start])
            done = match.end()
            if not self._finds_all:
                self._is_done = True
                break
        out.append(line[done - start :])
        return "".join(out)

    def _by_windows(self, line: str, *, is_last: bool) -> str:
        one = WindowCleaner(self._finder, finds_all=True, before="" if self._is_first else "\n")
        # No find of such a pattern holds the line's end, so that it comes out again.
        out = one.feed(line if is_last else f"{line}\n") + one.end()
        return out if is_last else out[:-1]


class WindowCleaner:
    """By windows. Invariant: ``_text`` is what did not go out yet, behind ``_before`` characters (none or one) that the
    pattern may look back at."""

    def __init__(self, finder: Pattern, *, finds_all: bool, before: str = "") -> None:
        self._finder = finder
        self._finds_all = finds_all
        self._pieces: list[str] = []
        self._pieces_chars = 0
        self._text = before
        self._before = len(before)
        self._wanted_chars = STRIDE_CHARS + WINDOW_CHARS
        self._is_done = False

    def feed(self, piece: str) -> str:
        """See :class:`Cleaner`."""
        if self._is_done:
            return piece
        self._pieces.append(piece)
        self._pieces_chars += len(piece)
        if len(self._text) - self._before + self._pieces_chars < self._wanted_chars:
            return ""
        return self._steps(ended=False)

    def end(self) -> str:
        """See :class:`Cleaner`."""
        return self._steps(ended=True)

    def _steps(self, *, ended: bool) -> str:
        self._text = "".join((self._text, *self._pieces))
        self._pieces, self._pieces_chars = [], 0
        out: list[str] = []
        while not self._is_done:
            left = len(self._text) - self._before
            if left < self._wanted_chars:
                if not ended:
                    return "".join(out)
                self._step(out, self._text, is_last=True)
            else:
                self._step(out, self._text[: self._before + self._wanted_chars], is_last=False)
            if ended and len(self._text) <= self._before:
                return "".join(out)
        out.append(self._text[self._before :])
        self._text, self._before = "", 0
        return "".join(out)

    def _step(self, out: list[str], window: str, *, is_last: bool) -> None:
        """Look at the beginnings that this window settles: the first :data:`STRIDE_CHARS`, or all where nothing follows."""
        settled = len(window) if is_last else self._before + STRIDE_CHARS
        seen = _readable(window)
        done = self._before
        for match in self._finder.finditer(seen, self._before):
            start, end = match.start(), match.end()
            if start >= settled + is_last or self._is_done:
                break
            if not is_last and end == len(window) and end - start < LONGEST_FIND_CHARS:
                # It may go on: what is settled is what stands before it, and then more has to be read.
                self._give_out(out, done, start)
                self._wanted_chars = 2 * self._wanted_chars if start == self._before else self._wanted_chars
                return
            self._is_done = not self._finds_all
            out.append(window[done:start])
            done = end
        self._give_out(out, done, max(done, settled))
        self._wanted_chars = STRIDE_CHARS + WINDOW_CHARS

    def _give_out(self, out: list[str], done: int, upto: int) -> None:
        out.append(self._text[done:upto])
        kept = max(0, upto - 1)
        self._before = upto - kept
        self._text = self._text[kept:]


class Opening:
    """How a line must begin for the pattern to find anything in it. The pattern's own flags say what is alike."""

    def __init__(self, words: Sequence[str], inline: str) -> None:
        whole = "|".join(re.escape(word) for word in words)
        begun = "|".join(re.escape(word[:length]) for word in words for length in range(len(word)))
        self._whole = compiled(f"{inline}\\A(?:{whole})")
        self._begun = compiled(f"{inline}\\A(?:{begun})\\z")

    def is_in(self, beginning: str) -> bool:
        """Whether the line begins so."""
        return self._whole.search(_readable(beginning)) is not None

    def may_come(self, beginning: str) -> bool:
        """Whether a line of which this is all that is known may still begin so."""
        return self._begun.search(_readable(beginning)) is not None


def _opening(cleanup: Cleanup) -> Opening | None:
    """``None`` where it is not plain how a find must begin: then every line is held until it is whole."""
    found = _OPENING.fullmatch(cleanup.pattern)
    if found is None or "m" not in cleanup.flags:
        return None
    words = [found["word"]] if found["word"] else found["words"].split("|")
    # What is repeated is perhaps not there at all.
    if found["rest"][:1] in ("?", "*", "{", "+") or sum(map(len, words)) > _MAX_OPENING_CHARS:
        return None
    return Opening(words, _inline(cleanup))


def _compiled(cleanup: Cleanup) -> Pattern:
    unknown = [flag for flag in cleanup.flags if flag not in _FLAGS]
    if unknown or len(set(cleanup.flags)) < len(cleanup.flags):
        raise BadPattern("flags: of these there are g (all finds), i, m and s, each once")
    if not 1 <= len(cleanup.pattern) <= MAX_PATTERN_CHARS:
        raise BadPattern(f"pattern: must have from 1 to {MAX_PATTERN_CHARS} characters")
    try:
        # By itself first: a bracket too many must not close ours.
        compiled(cleanup.pattern)
        return compiled(_inline(cleanup) + cleanup.pattern)
    except ValueError as error:
        raise BadPattern(f"pattern: {error}") from error


def _inline(cleanup: Cleanup) -> str:
    flags = "".join(flag for flag in _INLINE if flag in cleanup.flags)
    return f"(?{flags})" if flags else ""


def _readable(text: str) -> str:
    """``text``, as long, without lone surrogates, which RE2 cannot read."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
