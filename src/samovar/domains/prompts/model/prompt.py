"""What a prompt is, and what may stand in one."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from samovar.domains.prompts.model.variables import Variable, flaws_of_variables
from samovar.kernel.errors import Flaw

DEFAULT_NAMESPACE: Final = "default"
DEFAULT_LANG: Final = "en"
MAX_TEXT_CHARS: Final = 10_000
"""Of Unicode: a letter, an emoji without joiners or a line end is one."""
MAX_NAMESPACE_CHARS: Final = 64
MAX_NAME_CHARS: Final = 128
MAX_TAGS: Final = 32
MAX_TAG_CHARS: Final = 64
MAX_LABELS: Final = 32
"""Of one version."""
MAX_LABEL_CHARS: Final = 64
MAX_PRIORITY: Final = 1_000_000
MAX_VERSION: Final = 1_000_000
MAX_ID: Final = 2**63 - 1
LANG_PATTERN: Final = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"
LABEL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
PRODUCTION: Final = "production"
"""The label that a prompt is used by where nobody says otherwise."""

_LANG: Final = re.compile(LANG_PATTERN[1:-1], re.ASCII)
_LABEL: Final = re.compile(LABEL_PATTERN[1:-1], re.ASCII)
_NAME_RULE: Final = (
    "without control characters, '/' and '\\', and neither begins with '.' nor begins or ends with a blank"
)


class Prompt(Struct, frozen=True, kw_only=True):
    """One version of a prompt, as it is stored and as it is answered.

    ``revision`` counts the row's changes, and is its ``ETag``. ``labels`` are those that point here, sorted.
    """

    id: int
    namespace: str
    name: str
    version: int
    lang: str
    text: str
    tags: tuple[str, ...]
    priority: int
    is_active: bool
    is_default: bool
    labels: tuple[str, ...]
    variables: tuple[Variable, ...]
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class Draft(Struct, frozen=True, kw_only=True):
    """A version that is wanted. Without ``version`` it is the next one of its prompt."""

    namespace: str
    name: str
    text: str
    lang: str = DEFAULT_LANG
    version: int | None = None
    tags: tuple[str, ...] = ()
    priority: int = 0
    is_active: bool = True
    variables: tuple[Variable, ...] = ()
    labels: tuple[str, ...] = ()
    make_default: bool = False

    def flaws(self) -> list[Flaw]:
        """All that is wrong with it."""
        found = [
            *_name_flaws("namespace", self.namespace, MAX_NAMESPACE_CHARS),
            *_name_flaws("name", self.name, MAX_NAME_CHARS),
        ]
        if not is_lang(self.lang):
            found.append(Flaw("lang", "must be a language tag such as en, ru or pt-BR"))
        if self.version is not None and not 1 <= self.version <= MAX_VERSION:
            found.append(Flaw("version", f"must be from 1 to {MAX_VERSION}"))
        if self.make_default and not self.is_active:
            found.append(Flaw("make_default", "an inactive prompt cannot be the default"))
        found += _label_flaws(self.labels)
        found += _content_flaws(self.text, self.tags, self.priority)
        return found + flaws_of_variables(self.variables, self.text)


class PromptChange(Struct, frozen=True, kw_only=True):
    """What to change of a version; what is left out stays. Namespace, name, language and version are what a version is: they
    may be named as they are, and not changed."""

    namespace: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    lang: str | UnsetType = UNSET
    version: int | UnsetType = UNSET
    text: str | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    variables: tuple[Variable, ...] | UnsetType = UNSET

    def flaws(self, before: Prompt) -> list[Flaw]:
        """All that is wrong with the prompt that it would make of ``before``."""
        after = self.applied(before)
        found = [
            Flaw(name, "is what this version is, and stays; make a new prompt or version instead")
            for name in ("namespace", "name", "lang", "version")
            if getattr(after, name) != getattr(before, name)
        ]
        found += _content_flaws(after.text, after.tags, after.priority)
        return found + flaws_of_variables(after.variables, after.text)

    def applied(self, before: Prompt) -> Prompt:
        """``before`` with this change; who, when and the revision are the caller's to note."""
        return Prompt(
            **{
                name: getattr(before, name) if getattr(self, name, UNSET) is UNSET else getattr(self, name)
                for name in Prompt.__struct_fields__
            }
        )


class FormerText(Struct, frozen=True, kw_only=True):
    """A text that a version had until ``replaced_at``, with the variables that went with it."""

    revision: int
    text: str
    variables: tuple[Variable, ...]
    replaced_at: datetime
    replaced_by: str


class PromptPage(Struct, frozen=True):
    """Some prompts; ``next_cursor`` leads on, ``None`` at the end."""

    items: tuple[Prompt, ...]
    next_cursor: str | None


class HistoryPage(Struct, frozen=True):
    """Former texts of one version, the newest first."""

    items: tuple[FormerText, ...]
    next_cursor: str | None


def is_lang(text: str) -> bool:
    """Whether ``text`` is a language tag as we take it: BCP 47 (RFC 5646), the language in lower case."""
    return _LANG.fullmatch(text) is not None


def is_label(text: str) -> bool:
    """Whether ``text`` can be a label."""
    return _LABEL.fullmatch(text) is not None


def is_plain(text: str) -> bool:
    """Whether both engines and JSON can hold ``text``: neither NUL nor half a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def prompt_id(text: str) -> int | None:
    """The id that ``text`` is; ``None`` for what no id can be."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    found = int(text)
    return found if 1 <= found <= MAX_ID else None


def _name_flaws(where: str, text: str, most: int) -> Iterator[Flaw]:
    if not 1 <= len(text) <= most or text != text.strip() or text.startswith(".") or not _is_nameable(text):
        yield Flaw(where, f"must be 1 to {most} characters, {_NAME_RULE}")


def _is_nameable(text: str) -> bool:
    # Names become names of files when prompts live in git.
    return not any(char in "/\\" or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def _label_flaws(labels: Sequence[str]) -> Iterator[Flaw]:
    if len(labels) > MAX_LABELS or len(set(labels)) != len(labels) or not all(is_label(label) for label in labels):
        yield Flaw(
            "labels",
            f"must be at most {MAX_LABELS}, each once, of letters, digits and '.', '_', '-', at most {MAX_LABEL_CHARS} long",
        )


def _content_flaws(text: str, tags: Sequence[str], priority: int) -> Iterator[Flaw]:
    if not 1 <= len(text) <= MAX_TEXT_CHARS:
        yield Flaw("text", f"must be 1 to {MAX_TEXT_CHARS} characters, and has {len(text)}")
    elif not is_plain(text):
        yield Flaw("text", "holds a NUL character or half a surrogate pair, which no text here may")
    if len(tags) > MAX_TAGS or len(set(tags)) != len(tags):
        yield Flaw("tags", f"must be at most {MAX_TAGS}, each once")
    for place, tag in enumerate(tags[:MAX_TAGS]):
        if flaw := next(_name_flaws(f"tags[{place}]", tag, MAX_TAG_CHARS), None):
            yield flaw
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        yield Flaw("priority", f"must be from {-MAX_PRIORITY} to {MAX_PRIORITY}")
