"""Which index a list is read by: the one of what is rarest, or, where nothing is rare, one in the list's own order.

What is counted is counted to a bound: to know that there is much costs as little as to find that there is nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Select, and_, column, func, literal_column, select, table, text

from samovar.domains.files.model.query import Sort
from samovar.domains.files.store.search import fts_expression, stems_match
from samovar.domains.files.store.tables import files, marks
from samovar.ports.database import Tx

Order: TypeAlias = tuple[ColumnElement[Any], ...]

RARE: Final = 400
"""So many rows are looked at, and sorted, in a few milliseconds."""
_MANY: Final = 5_000
"""So many numbers are collected in a millisecond, to hold others against them."""


class Rule(NamedTuple):
    """A column between two values, both in (the upper one out where it ``is_open``); ``None`` is no bound."""

    column: ColumnElement[Any]
    low: str | int | None
    high: str | int | None
    is_open: bool = False
    is_indexed: bool = True

    def plain(self) -> ColumnElement[bool]:
        """An engine may enter an index by it."""
        return self._of(self.column)

    def unindexed(self) -> ColumnElement[bool]:
        """SQLite enters no index by a column with a plus before it."""
        named: ColumnElement[Any] = literal_column(f"+files.{self.column.key}")
        return self._of(named)

    def _of(self, found: ColumnElement[Any]) -> ColumnElement[bool]:
        if self.low is not None and self.low == self.high:
            return found == self.low
        rules = [] if self.low is None else [found >= self.low]
        if self.high is not None:
            rules.append(found < self.high if self.is_open else found <= self.high)
        return and_(*rules)


class Asked(NamedTuple):
    """All that a list is asked for, but for its bounds."""

    team_id: str
    sort: Sort
    stems: tuple[str, ...]
    marks: tuple[str, ...]
    rules: tuple[Rule, ...]


def order_of(sort: Sort, number: ColumnElement[Any]) -> Order:
    """The order of a list, by a column that holds the number."""
    if sort is Sort.LARGEST:
        return files.c.size_bytes.desc(), number.desc()
    return (number.desc() if sort is Sort.NEWEST else number.asc(),)


def has_mark(team_id: str, mark: str) -> ColumnElement[bool]:
    """The file has it."""
    other = marks.alias()
    mine = (other.c.team_id == team_id, other.c.mark == mark, other.c.number == files.c.number)
    return select(other.c.number).where(*mine).correlate(files).exists()


async def of_a_rare_mark(tx: Tx, chosen: Select[Any], asked: Asked) -> Select[Any]:
    """Begin at the rarest mark, where one is rare: PostgreSQL takes marks for independent, which they are not."""
    rare, mark = await _rarest_mark(tx, asked, RARE)
    if rare >= RARE:
        return chosen
    some = select(marks.c.number).where(marks.c.team_id == asked.team_id, marks.c.mark == mark).limit(RARE)
    # Materialised, so that it is read first.
    few = some.cte("few").prefix_with("MATERIALIZED", dialect="postgresql")
    return chosen.where(files.c.number.in_(select(few.c.number)))


async def on_sqlite(tx: Tx, chosen: Select[Any], asked: Asked) -> Select[Any]:
    """The list, sorted."""
    team: ColumnElement[Any] = literal_column("+files.team_id")
    most = _MANY if asked.stems else RARE
    rare_rule, rule = await _rarest_rule(tx, asked, most)
    rare_mark, mark = await _rarest_mark(tx, asked, most)
    words = await _count_words(tx, asked.stems, most) if asked.stems else most
    if rule is not None and rare_rule < RARE and rare_rule <= min(rare_mark, words):
        mine = [files.c.team_id == asked.team_id, rule.plain()]
        chosen = _checked(chosen.where(*mine), asked, but_rule=rule, is_rare=True)
        return chosen.order_by(*order_of(asked.sort, literal_column("+files.number")))
    if mark and rare_mark < RARE and rare_mark <= words:
        few = and_(marks.c.team_id == asked.team_id, marks.c.mark == mark)
        chosen = chosen.join(marks, marks.c.number == files.c.number).where(few, team == asked.team_id)
        chosen = _checked(chosen, asked, but_mark=mark, is_rare=True)
        return chosen.order_by(*order_of(asked.sort, marks.c.number))
    by_number = asked.sort is not Sort.LARGEST
    if asked.stems and (by_number or words < RARE):
        is_mark = rare_mark < min(rare_rule + 1, _MANY)
        return _by_words(chosen, asked, _few(asked, rule, mark if is_mark else ""), team)
    return _in_order(chosen, asked, mark, words, team)


def _few(asked: Asked, rule: Rule | None, mark: str) -> Select[Any] | None:
    """The numbers that the mark has, if there is one, or the rule; ``None`` where neither is."""
    if mark:
        return select(marks.c.number).where(*_mark_rules(asked, mark))
    if rule is not None:
        return select(files.c.number).where(files.c.team_id == asked.team_id, rule.plain()).correlate(None)
    return None


def _by_words(chosen: Select[Any], asked: Asked, few: Select[Any] | None, team: ColumnElement[Any]) -> Select[Any]:
    """Walk the words' index, which is in the order of numbers. What is none of the ``few`` is not looked up, which takes most of
    the time: a row is long, and seldom beside the one before."""
    found = table("file_search", column("rowid"))
    chosen = chosen.join(found, found.c.rowid == files.c.number).where(_match(asked.stems), team == asked.team_id)
    if few is not None:
        # With a plus before it: else each of the few is looked for among the words.
        plain: ColumnElement[Any] = literal_column("+file_search.rowid")
        chosen = chosen.where(plain.in_(few))
    return _checked(chosen, asked, but_words=True).order_by(*order_of(asked.sort, found.c.rowid))


def _in_order(chosen: Select[Any], asked: Asked, mark: str, words: int, team: ColumnElement[Any]) -> Select[Any]:
    """Nothing is rare: walk an index that has the list's order."""
    by_number = asked.sort is not Sort.LARGEST
    if mark and by_number:
        mine = and_(marks.c.team_id == asked.team_id, marks.c.mark == mark)
        chosen = chosen.join(marks, marks.c.number == files.c.number).where(mine, team == asked.team_id)
        return _checked(chosen, asked, but_mark=mark).order_by(*order_of(asked.sort, marks.c.number))
    order = order_of(asked.sort, files.c.number)
    entered = next((rule for rule in asked.rules if _is_in_order(rule, asked.sort)), None)
    chosen = chosen.where(files.c.team_id == asked.team_id)
    if entered is not None:
        chosen = chosen.where(entered.plain())
    is_rare = asked.sort is Sort.LARGEST and words >= _MANY
    return _checked(chosen, asked, but_rule=entered, is_rare=is_rare).order_by(*order)


def _is_in_order(rule: Rule, sort: Sort) -> bool:
    """The rule's index is in the list's order: that of sizes, or that of one value; many values of a column are in none."""
    if sort is Sort.LARGEST:
        return rule.column is files.c.size_bytes
    return rule.is_indexed and rule.low == rule.high


def _checked(
    chosen: Select[Any],
    asked: Asked,
    *,
    but_rule: Rule | None = None,
    but_mark: str = "",
    but_words: bool = False,
    is_rare: bool = False,
) -> Select[Any]:
    """All that is asked for, of each row, but for what the rows were found by. ``is_rare``: there are few, so that the words
    of each are looked at; else the words' files are found first."""
    rules = [rule.unindexed() for rule in asked.rules if rule is not but_rule]
    rules += [has_mark(asked.team_id, mark) for mark in asked.marks if mark != but_mark]
    if asked.stems and not but_words:
        rules += stems_match(asked.stems) if is_rare else [_has_words(asked.stems)]
    return chosen.where(*rules)


async def _rarest_mark(tx: Tx, asked: Asked, most: int) -> tuple[int, str]:
    counted = [(await _count(tx, marks, _mark_rules(asked, mark), most), mark) for mark in asked.marks]
    return min(counted, default=(most, ""))


async def _rarest_rule(tx: Tx, asked: Asked, most: int) -> tuple[int, Rule | None]:
    found: tuple[int, Rule | None] = (most, None)
    for rule in asked.rules:
        if rule.is_indexed:
            count = await _count(tx, files, [files.c.team_id == asked.team_id, rule.plain()], most)
            found = min(found, (count, rule), key=_first)
    return found


def _first(pair: tuple[int, Rule | None]) -> int:
    return pair[0]


def _mark_rules(asked: Asked, mark: str) -> Sequence[ColumnElement[bool]]:
    return [marks.c.team_id == asked.team_id, marks.c.mark == mark]


async def _count(tx: Tx, of: Any, rules: Sequence[ColumnElement[bool]], most: int) -> int:
    some = select(of.c.number).where(*rules).limit(most).subquery()
    return int((await tx.execute(select(func.count()).select_from(some))).scalar_one())


async def _count_words(tx: Tx, stems: tuple[str, ...], most: int) -> int:
    some = "SELECT count(*) FROM (SELECT rowid FROM file_search WHERE file_search MATCH :wanted LIMIT :most)"
    return int((await tx.execute(text(some).bindparams(wanted=fts_expression(stems), most=most))).scalar_one())


def _match(stems: tuple[str, ...]) -> ColumnElement[bool]:
    found: ColumnElement[bool] = text("file_search MATCH :wanted").bindparams(wanted=fts_expression(stems))  # type: ignore[assignment]
    return found


def _has_words(stems: tuple[str, ...]) -> ColumnElement[bool]:
    plain: ColumnElement[Any] = literal_column("+files.number")
    found = text("(SELECT rowid FROM file_search WHERE file_search MATCH :wanted)")
    return plain.op("IN")(found.bindparams(wanted=fts_expression(stems)))
