"""Query strings of the reads. What breaks a rule raises ``BadPrompt``, which names each parameter."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from samovar.domains.prompts.errors import BadPrompt
from samovar.domains.prompts.model import (
    DEFAULT_LANG,
    DEFAULT_NAMESPACE,
    MAX_CURSOR_CHARS,
    MAX_LABEL_CHARS,
    MAX_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
    MAX_PAGE,
    MAX_QUERY_CHARS,
    MAX_TAG_CHARS,
    PromptQuery,
    Sort,
    is_lang,
    is_plain,
)
from samovar.kernel.errors import Flaw

MOST: Final[Mapping[str, int]] = {
    "namespace": MAX_NAMESPACE_CHARS,
    "lang": 40,
    "tag": MAX_TAG_CHARS,
    "name": MAX_NAME_CHARS,
    "label": MAX_LABEL_CHARS,
    "q": MAX_QUERY_CHARS,
    "cursor": MAX_CURSOR_CHARS,
}
"""Characters of each parameter that is a text."""
_YES: Final = ("1", "true")
_NO: Final = ("0", "false")
_MAX_PARAMETERS: Final = 50


def default_place(query_string: bytes) -> tuple[str, str]:
    """Namespace and language of ``/v1/prompts/default``."""
    if not query_string:
        return DEFAULT_NAMESPACE, DEFAULT_LANG
    asked = _Parameters(query_string)
    namespace, lang = asked.text("namespace"), asked.lang()
    asked.settle()
    return namespace or DEFAULT_NAMESPACE, lang or DEFAULT_LANG


def read_query(query_string: bytes) -> PromptQuery:
    """The list that is asked for."""
    asked = _Parameters(query_string)
    query = PromptQuery(
        namespace=asked.text("namespace") or DEFAULT_NAMESPACE,
        lang=asked.lang(),
        active=asked.flag("active"),
        tag=asked.text("tag"),
        name=asked.text("name"),
        label=asked.text("label"),
        q=asked.text("q"),
        sort=asked.sort(),
        limit=asked.limit(),
        cursor=asked.text("cursor"),
    )
    asked.settle()
    return query


class _Parameters:
    """The last word on each; flaws are gathered and told together. An empty parameter counts as left out."""

    def __init__(self, query_string: bytes) -> None:
        self._flaws: list[Flaw] = []
        try:
            pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        except ValueError:
            pairs = []
            self._flaws.append(Flaw("query", f"has more than {_MAX_PARAMETERS} parameters"))
        self._values = {name: value for name, value in pairs if value}

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and (len(value) > MOST[name] or not is_plain(value)):
            self._flaws.append(Flaw(name, f"must have at most {MOST[name]} characters, without NUL"))
            return None
        return value

    def lang(self) -> str | None:
        value = self.text("lang")
        if value is not None and not is_lang(value):
            self._flaws.append(Flaw("lang", "must be a language tag such as en, ru or pt-BR"))
        return value

    def flag(self, name: str) -> bool | None:
        value = self._values.get(name)
        if value is not None and value not in (*_YES, *_NO):
            self._flaws.append(Flaw(name, "must be 1 or 0"))
        return None if value is None else value in _YES

    def sort(self) -> Sort:
        value = self._values.get("sort", Sort.PRIORITY.value)
        if value not in [one.value for one in Sort]:
            self._flaws.append(Flaw("sort", f"must be one of {', '.join(Sort)}"))
            return Sort.PRIORITY
        return Sort(value)

    def limit(self) -> int:
        value = self._values.get("limit", "50")
        if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= MAX_PAGE):
            self._flaws.append(Flaw("limit", f"must be from 1 to {MAX_PAGE}"))
            return 1
        return int(value)

    def settle(self) -> None:
        if self._flaws:
            raise BadPrompt(self._flaws)
