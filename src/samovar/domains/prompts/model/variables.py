"""Variables of a prompt: ``{{name}}`` in its text, filled by whoever uses it.

What is filled in is never looked at again, so a value that holds ``{{name}}`` stays as it is. ``{{{{`` stands for two
braces: ``{{{{name}}`` gives ``{{name}}``. A name that is not declared is a variable that must be given.
"""

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from samovar.domains.prompts.errors import BadVariables
from samovar.kernel.errors import Flaw

MAX_VARIABLES: Final = 100
MAX_VARIABLE_CHARS: Final = 64
MAX_OPTIONS: Final = 100
MAX_OPTION_CHARS: Final = 200
MAX_DESCRIPTION_CHARS: Final = 500
MAX_VALUE_CHARS: Final = 100_000
MAX_RENDERED_CHARS: Final = 1_000_000

VARIABLE_PATTERN: Final = r"^[^\W\d]\w{0,63}$"
_NAME: Final = re.compile(VARIABLE_PATTERN[1:-1])
_PLACE: Final = re.compile(r"\{\{\{\{|\{\{[ \t]*([^\W\d]\w{0,63})[ \t]*\}\}")
_ESCAPED: Final = "{{"
_LARGEST: Final = 10**18

Value = str | int | float | bool


class VariableType(StrEnum):
    """What a value must be. A ``number`` may be whole or not; an ``enum`` is one of its options."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ENUM = "enum"


class Variable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A declared variable. Without a ``default`` it must be given; ``options`` are an enum's."""

    name: str
    type: VariableType = VariableType.STRING
    default: Value | None = None
    options: tuple[str, ...] = ()
    description: str = ""


def placeholders(text: str) -> tuple[str, ...]:
    """The names in ``text``, each once, in their order."""
    return tuple(dict.fromkeys(found[1] for found in _PLACE.finditer(text) if found[1] is not None))


def render(text: str, variables: Sequence[Variable], values: Mapping[str, Any]) -> str:
    """``text`` with each placeholder filled. Raises ``BadVariables``, which names all that is missing, wrong or unknown."""
    declared = {variable.name: variable for variable in variables}
    names = placeholders(text)
    flaws = [
        Flaw(f"variables.{name[:100]}", "the prompt has no such variable")
        for name in values
        if name not in declared and name not in names
    ]
    filled: dict[str, str] = {}
    for name in dict.fromkeys([*names, *declared]):
        variable = declared.get(name)
        value = values.get(name, None if variable is None else variable.default)
        flaw = _missing(name, names, variable) if value is None else _misfit(variable, value)
        if flaw is not None:
            flaws.append(Flaw(f"variables.{name}", flaw))
        elif value is not None:
            filled[name] = _written(value)
    if flaws:
        raise BadVariables(flaws)
    return _joined(text, filled)


def flaws_of_variables(variables: Sequence[Variable], text: str) -> list[Flaw]:
    """All that is wrong with declarations, and with the number of variables in ``text``."""
    names = [variable.name for variable in variables]
    if len(set(names) | set(placeholders(text))) > MAX_VARIABLES or len(set(names)) != len(names):
        return [Flaw("variables", f"must be at most {MAX_VARIABLES} with those of the text, each once")]
    return [
        Flaw(f"variables[{place}]", flaw)
        for place, variable in enumerate(variables)
        if (flaw := _declaration_flaw(variable)) is not None
    ]


def _declaration_flaw(variable: Variable) -> str | None:
    if _NAME.fullmatch(variable.name) is None:
        return (
            f"its name must be a letter or '_', then letters, digits and '_', at most {MAX_VARIABLE_CHARS} characters"
        )
    if len(variable.description) > MAX_DESCRIPTION_CHARS or not _is_text(variable.description):
        return f"its description has more than {MAX_DESCRIPTION_CHARS} characters, or a NUL"
    if (variable.type is VariableType.ENUM) != bool(variable.options):
        return "options belong to an enum, and an enum needs some"
    if len(variable.options) > MAX_OPTIONS or len(set(variable.options)) != len(variable.options):
        return f"it has more than {MAX_OPTIONS} options, or one twice"
    if not all(1 <= len(option) <= MAX_OPTION_CHARS and _is_text(option) for option in variable.options):
        return f"an option must be 1 to {MAX_OPTION_CHARS} characters"
    if variable.default is None:
        return None
    wrong = _misfit(variable, variable.default)
    return None if wrong is None else f"its default {wrong}"


def _missing(name: str, names: tuple[str, ...], variable: Variable | None) -> str | None:
    # Declared and used nowhere: nobody has to give it.
    if name not in names:
        return None
    return f"is missing: give {_noun(variable)}"


def _noun(variable: Variable | None) -> str:
    if variable is None:
        return "a value"
    if variable.type is VariableType.ENUM:
        return f"one of {', '.join(variable.options[:20])}"
    return {VariableType.INTEGER: "an integer"}.get(variable.type, f"a {variable.type.value}")


def _misfit(variable: Variable | None, value: Any) -> str | None:
    """Why ``value`` cannot fill it."""
    if not isinstance(value, str | int | float | bool):
        return f"must be {_noun(variable)}"
    if isinstance(value, str) and (len(value) > MAX_VALUE_CHARS or not _is_text(value)):
        return f"must have at most {MAX_VALUE_CHARS} characters, without NUL"
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= _LARGEST):
        return f"must lie between -{_LARGEST:.0e} and {_LARGEST:.0e}"
    return None if variable is None or _fits(variable, value) else f"must be {_noun(variable)}"


def _fits(variable: Variable, value: Value) -> bool:
    # Python counts True as an integer; nobody else does.
    if isinstance(value, bool):
        return variable.type is VariableType.BOOLEAN
    match variable.type:
        case VariableType.STRING:
            return isinstance(value, str)
        case VariableType.ENUM:
            return value in variable.options
        case VariableType.NUMBER:
            return isinstance(value, int | float)
        case VariableType.INTEGER:
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        case _:
            return False


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _written(value: Value) -> str:
    """As JSON writes it, and a text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return msgspec.json.encode(value).decode()


def _joined(text: str, filled: Mapping[str, str]) -> str:
    # Counted first: a long value at a thousand places is no text that anybody wants.
    size = len(text) + sum(len(filled.get(found[1], "")) for found in _PLACE.finditer(text) if found[1] is not None)
    if size > MAX_RENDERED_CHARS:
        raise BadVariables([Flaw("variables", f"the filled text has more than {MAX_RENDERED_CHARS} characters")])
    return _PLACE.sub(lambda found: _ESCAPED if found[1] is None else filled[found[1]], text)
