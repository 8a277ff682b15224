"""YAML as prompts need it: mappings, lists and plain values, and nothing that a stranger's file could do harm with.

Read from the parser's events, not with a loader: aliases (and so a billion laughs), tags, a second document, a key that
stands twice, deep nesting and too many values are refused. Words are typed as in YAML 1.2's core schema, so that
``lang: no`` is Norwegian and not ``False``; what is written is quoted so that YAML 1.1 reads the same.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import yaml

from samovar.kernel.errors import Malformed

MAX_NODES: Final = 1_000_000
_MAX_DEPTH: Final = 16
# No line is folded: a change of one word shall be a change of one line.
_WIDTH: Final = 1_000_000

_INT: Final = re.compile(r"[-+]?[0-9]{1,19}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?[0-9]{1,330}\.[0-9]{0,30}(?:[eE][-+][0-9]{1,3})?", re.ASCII)
_WORDS: Final = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip

Value = dict[str, Any] | list[Any] | str | int | float | bool | None


def read_yaml(text: str) -> Value:
    """The one document in ``text``. Raises ``Malformed``, which names the line."""
    try:
        return _Reader(yaml.parse(text, Loader=yaml.CSafeLoader)).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        raise Malformed(f"this is not YAML: {_line(mark)}{what}") from error


def write_yaml(fields: Mapping[str, Value], *, literals: Collection[str] = ()) -> str:
    """``fields`` as block YAML in their order. Texts named in ``literals`` stand line by line as they are, where YAML can show
    them so."""
    return "".join(_field(name, value, as_is=name in literals) for name, value in fields.items())


def _field(name: str, value: Value, *, as_is: bool) -> str:
    if as_is and isinstance(value, str) and _can_be_literal(value):
        # By hand: libyaml would escape what lies beyond the basic plane, emoji among it.
        lines = "".join(f"  {line}\n" if line else "\n" for line in value.removesuffix("\n").split("\n"))
        return f"{name}: {'|' if value.endswith(_LF) else '|-'}\n{lines}"
    written: str = yaml.dump({name: value}, Dumper=_Writer, allow_unicode=True, sort_keys=False, width=_WIDTH)
    return written


class _Writer(yaml.CSafeDumper):
    """Writes a value out wherever it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_LF: Final = "\n"
# Beginning with a blank, a literal would need a mark for its indentation; ending with several line feeds, one for these.
# Controls cannot stand in it, and CR, NEL and Unicode's separators would be taken for line feeds.
_ODD: Final = re.compile(r"\A\s|\n\n\Z|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def _can_be_literal(text: str) -> bool:
    return ("\n" in text or not text.isascii()) and _ODD.search(text) is None


class _Reader:
    """Builds values from events, within bounds."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._nodes = 0

    def document(self) -> Value:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        found = self._value(next(self._events), depth=0)
        next(self._events)
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise Malformed("there is more than one YAML document here; give one")
        return found

    def _value(self, event: Any, depth: int) -> Value:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return _typed(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(event, depth + 1))
            return items
        return self._mapping(depth)

    def _mapping(self, depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise Malformed(f"{_line(event.start_mark)}a key must be a word")
            self._check(event, depth + 1)
            if event.value in fields:
                raise Malformed(f"{_line(event.start_mark)}the key {event.value[:100]!r} stands twice")
            fields[event.value] = self._value(next(self._events), depth + 1)
        return fields

    def _check(self, event: Any, depth: int) -> None:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise Malformed(f"{_line(event.start_mark)}anchors and aliases are not taken; write the value out")
        if event.tag:
            raise Malformed(f"{_line(event.start_mark)}tags such as {event.tag[:100]} are not taken")
        if depth > _MAX_DEPTH or self._nodes > MAX_NODES:
            raise Malformed(
                f"{_line(event.start_mark)}there is more here than prompts can be: too deep, or too many values"
            )


def _typed(word: str) -> Value:
    if word in _WORDS:
        return _WORDS[word]
    if _INT.fullmatch(word):
        return int(word)
    return float(word) if _FLOAT.fullmatch(word) else word


def _line(mark: Any) -> str:
    return "" if mark is None else f"line {mark.line + 1}: "
