"""Write ``docs/models.md`` from the code: who speaks what, and what each vendor cannot do.

``python tools/models_table.py`` writes the file, ``--check`` fails if it is not what the code says. What cannot be said is
found by asking: each ability is written for each vendor by its dialect, and what the dialect refuses is noted.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from models_probes import EMBEDDING_PROBES, PROBES
from samovar.ports.dialect import Dialect, Unsupported, Vendor
from samovar.ports.llm import ChatRequest
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.gemini import GeminiContent
from samovar.providers.gemini.embeddings import GeminiEmbeddings
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import CHAT, GEMINI, MESSAGES, RESPONSES, VENDORS

TABLE: Final = Path(__file__).resolve().parent.parent / "docs" / "models.md"

_DIALECTS: Final[dict[str, Dialect]] = {
    CHAT: OpenAIChat(),
    RESPONSES: OpenAIResponses(),
    MESSAGES: AnthropicMessages(),
    GEMINI: GeminiContent(),
}
_LANGUAGES: Final = {CHAT: "Chat Completions", RESPONSES: "Responses", MESSAGES: "Messages", GEMINI: "Gemini"}
_SURFACES: Final = {
    CHAT: "`/v1/chat/completions`",
    RESPONSES: "`/v1/responses`",
    MESSAGES: "`/v1/messages`",
    GEMINI: "`:generateContent`",
}
_FIGURES: Final = ("`/v1/embeddings`", "`:batchEmbedContents`", "`/v1/messages/count_tokens`", "`:countTokens`")
_EMBEDDINGS: Final = {GEMINI: GeminiEmbeddings()}
_SENT_VALUE: Final = re.compile(r"^\S+: (?=there is no such setting|only )")
# What some dialects write depends on the model's family.
_MODELS: Final = {MESSAGES: "claude-sonnet-4-5", GEMINI: "gemini-2.5-flash"}
_HEAD: Final = """\
# Vendors and surfaces

Any client of the four chat surfaces reaches any vendor. This page says what is native, what is translated, and what a vendor
cannot do. It is generated from the code, by asking it: run `python tools/models_table.py` after a change of `providers`.

- **native**: caller and vendor speak the same language. The bytes pass through and are not rebuilt: whatever the vendor takes,
  you can say, and what it refuses, it refuses itself.
- **translated**: the call goes through Samovar's neutral core. What the vendor's language has no word for is refused with
  400 `unsupported_by_provider`, which names each field, before anything is sent; nothing is changed silently. With
  `"drop_params": true` in the body such settings are left out instead. What has no meaning for the answer (marks of what to
  cache, where the vendor decides that itself; labels) is left out unasked.
- Streams, usage, stop reasons, tool calls, errors and reasoning are translated everywhere.
- What only its maker can read again, the id of an answer that a vendor keeps (`previous_response_id`) and encrypted reasoning of
  `/v1/responses`, leaves with a mark of the provider. A call that goes on from it takes no other member of a group; a model
  of another provider answers 400 `made_by_another_provider`.
"""


def table() -> str:
    """The whole page."""
    parts = [_HEAD, *_who_speaks_what(), *_surface_words(), *_abilities(), "\n## Each vendor\n"]
    for vendor in VENDORS.values():
        parts.extend(_vendor(vendor))
    return "".join(parts)


# ---- who speaks what


def _who_speaks_what() -> Iterator[str]:
    yield "\n## Who speaks what\n\n"
    yield _row("vendor", *_SURFACES.values(), *_FIGURES)
    yield _row(*["---"] * (1 + len(_SURFACES) + len(_FIGURES)))
    for vendor in VENDORS.values():
        ways = [_way(vendor, surface) for surface in _SURFACES]
        vectors = [_embeddings(vendor, surface) for surface in (CHAT, GEMINI)]
        yield _row(_link(vendor), *ways, *vectors, *[_counts(vendor, surface) for surface in (MESSAGES, GEMINI)])
    yield "\n`:embedContent` is as `:batchEmbedContents`. What a vector is for (`taskType`, `title`) only Gemini can be told.\n"


def _way(vendor: Vendor, surface: str) -> str:
    return "native" if surface in vendor.paths else "translated"


def _embeddings(vendor: Vendor, surface: str) -> str:
    if not vendor.embedding_paths:
        return "none"
    return "native" if surface in vendor.embedding_paths else "translated"


def _counts(vendor: Vendor, surface: str) -> str:
    return "the vendor's" if surface in vendor.count_paths else "our estimate"


# ---- what can be said


def _surface_words() -> Iterator[str]:
    yield "\n## What a surface can ask\n\n"
    yield "A surface is its vendor's own API, so it has words for what that vendor can do. `-` is what it has none for.\n\n"
    yield _row("ability", *_SURFACES.values())
    yield _row(*["---"] * 5)
    for probe in PROBES:
        own = [replace(probe.request, dialect=name) for name in _SURFACES]
        yield _row(probe.name, *["-" if _refused(one, _plain(one.dialect), one.dialect) else "yes" for one in own])


def _plain(dialect: str) -> Vendor:
    """A vendor with every word of the dialect."""
    native = next(vendor for vendor in VENDORS.values() if dialect in vendor.paths)
    return replace(native, quirks=replace(native.quirks, rejects=frozenset()))


def _abilities() -> Iterator[str]:
    yield "\n## What a translated call can ask\n\n"
    yield "Who refuses what. OpenAI, spoken to in two languages, stands here only if neither can say it.\n\n"
    yield _row("ability", "refused by")
    yield _row("---", "---")
    for probe in PROBES:
        cannot = [
            _link(vendor)
            for vendor in VENDORS.values()
            if all(_refused(probe.request, vendor, dialect) for dialect in _translations(vendor))
        ]
        yield _row(probe.name, ", ".join(cannot) or "nobody")


def _translations(vendor: Vendor) -> dict[str, list[str]]:
    """The languages into which a call for the vendor is translated, and for which beginnings of a model's name; none is
    for all others."""
    best = next(iter(vendor.paths))
    if not vendor.preferred:
        return {best: []}
    found: dict[str, list[str]] = {best: []}
    for start, dialect in vendor.preferred:
        if not start:
            return {dialect: []}
        found.setdefault(dialect, []).append(start)
    return found


def _refused(request: ChatRequest, vendor: Vendor, dialect: str) -> str:
    """Why the vendor cannot be asked this in its language; empty if it can."""
    named = replace(request, model=_MODELS.get(dialect, "a-model"))
    try:
        _DIALECTS[dialect].write_request(named, vendor=vendor, drop_params=False)
    except Unsupported as error:
        return _reason(error)
    return ""


def _reason(error: Unsupported) -> str:
    """In the dialect's words, without the value that the probe happened to send."""
    return "; ".join(dict.fromkeys(_SENT_VALUE.sub("", flaw.what) for flaw in error.flaws)) or error.detail


# ---- each vendor


def _vendor(vendor: Vendor) -> Iterator[str]:
    yield f"\n### {vendor.title}\n\n"
    yield _row("", "")
    yield _row("---", "---")
    for name, value in _facts(vendor):
        yield _row(name, value)
    for surface, words in _SURFACES.items():
        yield _row(words, _spoken(vendor, surface))
    for dialect in _translations(vendor):
        yield from _limits(vendor, dialect)
    if vendor.embedding_paths and CHAT not in vendor.embedding_paths:
        yield from _embedding_limits(vendor)


def _facts(vendor: Vendor) -> Iterator[tuple[str, str]]:
    yield "name", f"`{vendor.name}`"
    own = f"`{vendor.base_url}`, another" if vendor.base_url else "each customer has its own, given"
    yield "address", f"{own} by `{vendor.base_url_env}`"
    if vendor.key_env:
        needed = "" if vendor.needs_key else ", where the server wants one"
        yield "key", f"`{vendor.key_env}`{needed}, sent as `{vendor.key_header}`"
    else:
        yield "key", "none"
    yield "embeddings", f"{'yes' if vendor.embedding_paths else 'none'}{_quoted(vendor.embedding_paths)}"
    counts = "in its own language" if vendor.count_paths else "our estimate"
    yield "counting tokens", f"{counts}{_quoted(vendor.count_paths)}"
    yield "streaming", f"yes{_quoted(vendor.stream_paths)}; {_usage_of_streams(vendor)}"
    header = vendor.idempotency_header
    yield "idempotency", "takes no key" if header is None else f"`{header}`, the same on each retry of a call"
    yield "prices", "set by an admin" if vendor.price_source is None else f"the snapshot's (`{vendor.price_source}`)"


def _quoted(paths: object) -> str:
    found = sorted(set(paths.values())) if isinstance(paths, dict) else []
    return f" (`{', '.join(found)}`)" if found else ""


def _usage_of_streams(vendor: Vendor) -> str:
    asks = CHAT in vendor.paths and vendor.quirks.stream_usage_option
    return "usage at the end is asked for" if asks else "usage comes unasked"


def _spoken(vendor: Vendor, surface: str) -> str:
    if surface in vendor.paths:
        return f"native (`{vendor.paths[surface]}`)"
    ways = []
    for dialect, starts in _translations(vendor).items():
        names = ", ".join(f"`{start}`" for start in starts)
        ways.append(_LANGUAGES[dialect] + (f" for models that begin with {names}" if names else ""))
    return f"translated to {'; to '.join(ways)}"


def _limits(vendor: Vendor, dialect: str) -> Iterator[str]:
    subject = f"A call translated to {_LANGUAGES[dialect]}" if len(_translations(vendor)) > 1 else "A translated call"
    yield f"\n{subject} cannot ask for:\n\n"
    reasons: dict[str, list[str]] = {}
    for probe in PROBES:
        if why := _refused(probe.request, vendor, dialect):
            reasons.setdefault(why, []).append(probe.name)
    for why, names in reasons.items():
        yield f"- {'; '.join(names)}: *{why}*\n"


def _embedding_limits(vendor: Vendor) -> Iterator[str]:
    language = _EMBEDDINGS[next(iter(vendor.embedding_paths))]
    yield "\nA translated call for embeddings cannot ask for:\n\n"
    for name, request in EMBEDDING_PROBES.items():
        try:
            language.write_request(request, vendor=vendor)
        except Unsupported as error:
            yield f"- {name}: *{_reason(error)}*\n"


def _link(vendor: Vendor) -> str:
    anchor = "".join(letter for letter in vendor.title.lower() if letter.isalnum() or letter in " -")
    return f"[{vendor.title}](#{anchor.replace(' ', '-')})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def main(arguments: Sequence[str]) -> int:
    """Write the file, or with ``--check`` compare it; 1 when it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = table()
    if not parser.parse_args(arguments).check:
        TABLE.write_text(text, "utf-8")
        return 0
    if TABLE.exists() and TABLE.read_text("utf-8") == text:
        return 0
    print(
        f"docs/{TABLE.name} is not what the providers say: run `python tools/models_table.py` and commit it.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
