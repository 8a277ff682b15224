"""Rules over texts, compiled: what they block, what they redact, and how a text is ruled that comes in pieces.

* Each rule looks at what was said, not at what another rule made of it. Finds that overlap become one replacement: that
  of the find that begins first, and of those that begin together, of the rule that stands first.
* A text that comes in pieces is held back by :data:`WINDOW_CHARS`, so that a find of up to so many characters is found
  however the pieces are cut. A longer one is found too where what already came of it is a find that goes on growing, up
  to :data:`LONGEST_FIND_CHARS`.
* A rule finds in a whole text what it finds, at any length, until its finds may have looked at :data:`EXACT_CHARS` together:
  RE2 takes time that grows with the text for one find, so with its square for all. From there on it looks
  :data:`FAR_CHARS` ahead.
* Signs of a half character (lone surrogates) are no text to RE2: it sees U+FFFD in their place.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from samovar.domains.gateway.errors import GuardBlocked
from samovar.domains.gateway.model.escapes import undone
from samovar.domains.gateway.model.text_files import embedded
from samovar.kernel.guard import Guard, GuardAction, GuardSide, compiled
from samovar.kernel.patterns import Pattern

WINDOW_CHARS: Final = 512
LONGEST_FIND_CHARS: Final = 16_384
EXACT_CHARS: Final = 4_000_000
"""20 ms of RE2's time, in a text of which each find looks at all that follows."""
FAR_CHARS: Final = 1_024
_STRIDE_CHARS: Final = 256
"""How many beginnings are looked at in one window."""
_STEP_CHARS: Final = 32
"""How much must have come before a growing text is looked at again: what is held back is longer anyway."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[0-9.eE+-]*', re.DOTALL)
_COLON: Final = re.compile(r"[ \t\r\n]*:")
_NOT_JSON: Final = (msgspec.MsgspecError, RecursionError)

Note: TypeAlias = Callable[[GuardAction, GuardSide], None]
"""Told of each thing that a rule did, for the metrics."""


class CompiledRule(msgspec.Struct, frozen=True):
    """A rule that stands guard."""

    name: str
    pattern: Pattern
    blocks: bool
    replacement: str


class CompiledGuard(msgspec.Struct, frozen=True):
    """``source`` is what it was made of."""

    source: Guard
    input_rules: tuple[CompiledRule, ...]
    output_rules: tuple[CompiledRule, ...]


class Find(msgspec.Struct, frozen=True):
    """Where a rule found something: from ``start`` up to, but not including, ``end``. ``place`` is the rule's."""

    start: int
    place: int
    end: int


def compile_guard(guard: Guard) -> CompiledGuard:
    """Raises ``ValueError`` for a pattern that RE2 does not take (none that was checked when it came in)."""
    rules = {
        rule.name: CompiledRule(rule.name, compiled(rule.pattern), rule.action is GuardAction.BLOCK, rule.replacement)
        for rule in guard.rules
    }

    def on(side: GuardSide) -> tuple[CompiledRule, ...]:
        return tuple(rules[rule.name] for rule in guard.rules if rule.on in (side, GuardSide.BOTH))

    return CompiledGuard(guard, on(GuardSide.INPUT), on(GuardSide.OUTPUT))


class Screen:
    """The rules of one side, for one call. Every method raises ``GuardBlocked`` where a rule blocks, and gives back the very
    text it got where nothing was found."""

    def __init__(self, rules: Sequence[CompiledRule], side: GuardSide, note: Note) -> None:
        self.rules = rules
        self.side = side
        self._note = note

    def text(self, text: str) -> str:
        """A whole text."""
        finds = list(self.finds(text))
        return self.replaced(text, finds) if finds else text

    def json(self, text: str, *, scalars: bool = True) -> str:
        """JSON, of which each string is looked at by itself, as it reads once its escapes are undone; with ``scalars`` the
        names of fields and the numbers too. What was redacted is a string; the rest stays byte for byte. What is no
        JSON is looked at as :meth:`escaped`."""
        if not self.rules:
            return text
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except _NOT_JSON:
            return self.escaped(text)
        look = self._argument if scalars else self._value
        return _JSON_TOKEN.sub(lambda found: look(text, found), text)

    def raw(self, raw: msgspec.Raw) -> msgspec.Raw:
        """As :meth:`json` without its scalars. Files within it are looked into, and names of fields are, where a rule blocks:
        with another name a field would be another."""
        text = bytes(raw).decode("utf-8", "replace")
        ruled = self.json(text, scalars=False)
        return raw if ruled is text or ruled == text else msgspec.Raw(ruled.encode())

    def escaped(self, text: str) -> str:
        """A text with JSON's escapes in it: looked at as it stands, and with them undone."""
        if "\\" not in text:
            return self.text(text)
        plain = undone(text)
        finds = list(self.finds(text))
        for find in self.finds(plain.text):
            finds.append(Find(plain.source(find.start), find.place, plain.source(find.end)))
        return self.replaced(text, finds) if finds else text

    def name(self, name: str) -> None:
        """What cannot be redacted: only rules that block look at it."""
        seen = readable(name)
        for rule in self.rules:
            if rule.blocks and any(found_in(seen, rule.pattern)):
                self.check(rule)

    def finds(self, text: str) -> Iterator[Find]:
        """All that is to be redacted, rule by rule."""
        seen = readable(text)
        for place, rule in enumerate(self.rules):
            for start, end in found_in(seen, rule.pattern):
                self.check(rule)
                yield Find(start, place, end)

    def check(self, rule: CompiledRule) -> None:
        """A rule found something. Raises ``GuardBlocked`` if it blocks."""
        if rule.blocks:
            self._note(GuardAction.BLOCK, self.side)
            raise GuardBlocked(rule.name, side=self.side)

    def replaced(self, text: str, finds: Iterable[Find]) -> str:
        """``text`` with every find redacted."""
        out: list[str] = []
        done = 0
        for find in merged(finds):
            out += (text[done : find.start], self.redaction(find))
            done = find.end
        return "".join((*out, text[done:]))

    def redaction(self, find: Find) -> str:
        """What stands in its place."""
        self._note(GuardAction.REDACT, self.side)
        return self.rules[find.place].replacement

    def _argument(self, _: str, found: "re.Match[str]") -> str:
        token = found[0]
        said = json.loads(token, strict=False) if token.startswith('"') else token
        ruled = self.text(said)
        return token if ruled is said else json.dumps(ruled, ensure_ascii=False)

    def _value(self, text: str, found: "re.Match[str]") -> str:
        token = found[0]
        if not token.startswith('"'):
            return token
        said = json.loads(token, strict=False)
        if _COLON.match(text, found.end()):
            self.name(said)
            return token
        ruled = self.text(said)
        if ruled is said:
            ruled = self._file(said)
        return token if ruled is said else json.dumps(ruled, ensure_ascii=False)

    def _file(self, said: str) -> str:
        for file in embedded(said):
            ruled = self.text(file.text)
            if ruled is not file.text:
                written = file.written(ruled)
                return f"data:{file.media_type};base64,{written}" if said[:5].lower() == "data:" else written
        return said


def readable(text: str) -> str:
    """``text``, as long, without lone surrogates."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def found_in(seen: str, pattern: Pattern) -> Iterator[tuple[int, int]]:
    """Where ``pattern`` finds something, in time that grows with the text alone."""
    looked_at = 0
    for match in pattern.finditer(seen):
        start, end = match.start(), match.end()
        if end > start:
            yield start, end
        looked_at += len(seen) - start
        if looked_at > EXACT_CHARS:
            break
    else:
        return
    yield from _found_near(seen, pattern, max(end, start + 1))


def _found_near(seen: str, pattern: Pattern, at: int) -> Iterator[tuple[int, int]]:
    """The same from ``at`` on, window by window."""
    ahead_chars = FAR_CHARS
    while at < len(seen):
        found, then = _found_within(seen, pattern, at, min(len(seen), at + _STRIDE_CHARS + ahead_chars))
        yield from found
        # Nothing is settled where the first find goes on to the window's end.
        ahead_chars = 2 * ahead_chars if then == at else FAR_CHARS
        at = then


def _found_within(seen: str, pattern: Pattern, at: int, upto: int) -> tuple[list[tuple[int, int]], int]:
    """What begins within a stride from ``at`` and ends before ``upto``, and where to look next."""
    # The one character that a pattern may look back at.
    base = max(0, at - 1)
    is_last = upto == len(seen)
    settled = upto if is_last else at + _STRIDE_CHARS
    found: list[tuple[int, int]] = []
    done = at
    for match in pattern.finditer(seen[base:upto], at - base):
        start, end = base + match.start(), base + match.end()
        if start >= settled:
            break
        if not is_last and end == upto and end - start < LONGEST_FIND_CHARS:
            return found, start
        if end > start:
            found.append((start, end))
        done = end
    return found, max(done, settled)


def merged(finds: Iterable[Find]) -> Iterator[Find]:
    """Finds in their order, none overlapping another."""
    last: Find | None = None
    for find in sorted(finds, key=lambda find: (find.start, find.place)):
        if last is None:
            last = find
        elif find.start < last.end:
            last = Find(last.start, last.place, max(last.end, find.end))
        else:
            yield last
            last = find
    if last is not None:
        yield last


class GrowingText:
    """A text under rules that comes in pieces. ``was_redacted`` is whether anything was taken out of it.

    Invariants: ``_text`` is what is not given out yet, after one character that is (what ``\\b`` and ``^`` look back at),
    and each rule has looked at all that stands before its place in ``_from``. A find is settled once the window behind its
    beginning is full, because nothing that is still to come can change it; up to the first that is not, text goes out.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._text = ""
        self._out = 0
        self._from = [0] * len(screen.rules)
        self._finds: list[Find] = []
        self._looked_at = 0
        self.was_redacted = False

    def feed(self, piece: str) -> str:
        """What may go out now. Raises ``GuardBlocked``, whose ``passed`` is what may go out before it."""
        # In steps: what comes at once would else be looked at to its end by each find in it.
        out: list[str] = []
        try:
            for at in range(0, len(piece), WINDOW_CHARS):
                out.append(self._fed(piece[at : at + WINDOW_CHARS]))
        except GuardBlocked as error:
            error.passed = "".join((*out, error.passed))
            raise
        return "".join(out)

    def _fed(self, piece: str) -> str:
        self._text += piece
        if len(self._text) < max(WINDOW_CHARS, self._looked_at) + _STEP_CHARS:
            return ""
        return self._advance(ended=False)

    def end(self) -> str:
        """The rest. As :meth:`feed`."""
        return self._advance(ended=True)

    def _advance(self, *, ended: bool) -> str:
        seen = readable(self._text)
        self._looked_at = len(seen)
        blocked: GuardBlocked | None = None
        cut = len(seen)
        for place in range(len(self._from)):
            try:
                cut = min(cut, self._look(place, seen, ended=ended))
            except _Blocked as found:
                cut, blocked = min(cut, found.start), blocked or found.error
        out = self._give_out(cut)
        if blocked is not None:
            blocked.passed = out
            raise blocked
        return out

    def _look(self, place: int, seen: str, *, ended: bool) -> int:
        """Settle what one rule finds. Returns up to where it has nothing more to say."""
        rule = self._screen.rules[place]
        settled = len(seen) if ended else len(seen) - WINDOW_CHARS
        at = self._from[place]
        # One pass: to begin a search anew at each find would take time that grows with the square of the text.
        for match in rule.pattern.finditer(seen, at):
            start, end = match.start(), match.end()
            if start >= settled:
                at = max(at, settled)
                break
            if end == start:
                continue
            if not ended and end == len(seen) and end - start < LONGEST_FIND_CHARS:
                at = start
                break
            try:
                self._screen.check(rule)
            except GuardBlocked as error:
                raise _Blocked(start, error) from error
            self._finds.append(Find(start, place, end))
            at = end
        else:
            at = max(at, settled)
        self._from[place] = at
        # What stands behind a find may be the middle of another rule's: it is each rule's own place that counts.
        return at

    def _give_out(self, cut: int) -> str:
        text = self._text
        out: list[str] = []
        later: list[Find] = []
        for find in sorted(self._finds, key=lambda find: (find.start, find.place)):
            if find.start >= cut:
                later.append(find)
                continue
            if find.start >= self._out:
                out += (text[self._out : find.start], self._screen.redaction(find))
                self.was_redacted = True
            self._out = max(self._out, find.end)
        if self._out < cut:
            out.append(text[self._out : cut])
            self._out = cut
        self._forget(later, max(0, cut - 1))
        return "".join(out)

    def _forget(self, later: list[Find], gone: int) -> None:
        self._text = self._text[gone:]
        self._out -= gone
        self._looked_at -= gone
        self._from = [at - gone for at in self._from]
        self._finds = [Find(find.start - gone, find.place, find.end - gone) for find in later]


class _Blocked(Exception):  # it carries an error, and is none
    def __init__(self, start: int, error: GuardBlocked) -> None:
        super().__init__()
        self.start = start
        self.error = error
