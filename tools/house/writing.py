"""What stands in any text file: nothing unfinished, nothing of one machine, no link that leads nowhere."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from house.checkout import Checkout, Finding, Rule, Source

# Written so that the patterns do not find themselves.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|Users)/\w+|(?<![\w.])/(?:root|wor[k])/\w+")
PRIVATE_HOST = re.compile(
    r"(?<![\d.])(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})(?!\d|\.\d)"
    r"|\b(?!host\.docker\.)(?:[a-z0-9-]+\.){2,}(?:internal|intranet|corp|lan)\b(?![(\w-]|\.\w)"
)
PUBLIC_INDEX = "https://pypi.org/simple"
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^\s*(```|~~~)")


def unfinished(checkout: Checkout) -> Iterator[Finding]:
    """What is left to do is an issue, not a note in the code."""
    yield from _each_match(checkout, UNFINISHED, "finish it, or open an issue and say there what is left")


def machine_path(checkout: Checkout) -> Iterator[Finding]:
    """No file knows whose machine it was written on."""
    yield from _each_match(checkout, MACHINE_PATH, "a path of one machine: make it relative, or a setting")


def private_host(checkout: Checkout) -> Iterator[Finding]:
    """No file but a test names a host that only one network has."""
    for finding in _each_match(
        checkout, PRIVATE_HOST, "a host of one network: use example.com, 127.0.0.1 or a setting"
    ):
        if not finding.path.startswith("tests/"):
            yield finding


def public_lock(checkout: Checkout) -> Iterator[Finding]:
    """The lock names the public index, whatever mirror it was made behind."""
    for source in checkout.sources:
        if source.path == "uv.lock":
            for number, line in enumerate(source.lines, 1):
                if "registry = " in line and f'registry = "{PUBLIC_INDEX}"' not in line:
                    yield Finding(source.path, number, f"not {PUBLIC_INDEX}: lock again with that index")


def final_newline(checkout: Checkout) -> Iterator[Finding]:
    """A text file ends with one newline, and its lines end without a carriage return."""
    for source in checkout.sources:
        if source.text and (not source.text.endswith("\n") or source.text.endswith("\n\n")):
            yield Finding(source.path, len(source.lines), "end the file with exactly one newline")
        if "\r\n" in source.text:
            yield Finding(source.path, 1, "end lines with a line feed alone")


def dead_link(checkout: Checkout) -> Iterator[Finding]:
    """A link between our documents leads to a file that is there, and to a heading that is in it."""
    documents = {source.path: source for source in checkout.sources if source.path.endswith(".md")}
    for source in documents.values():
        for number, target in _links(source):
            path, _, anchor = unquote(target).partition("#")
            there = _joined(source.path, path) if path else source.path
            if there is None or not (checkout.root / there).exists():
                yield Finding(source.path, number, f"{target} is not there")
            elif anchor and there in documents and anchor.lower() not in _anchors(documents[there]):
                yield Finding(source.path, number, f"{there} has no heading #{anchor}")


def _each_match(checkout: Checkout, pattern: re.Pattern[str], message: str) -> Iterator[Finding]:
    for source in checkout.sources:
        if source.path == "uv.lock" or not pattern.search(source.text):
            continue
        for number, line in enumerate(source.lines, 1):
            match = pattern.search(line)
            if match:
                yield Finding(source.path, number, f"{match.group()!r}: {message}")


def _prose(source: Source) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(source.lines, 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _links(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in _prose(source):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if not re.match(r"[a-z][a-z0-9+.-]*:|//", target):
                yield number, target


def _joined(base: str, path: str) -> str | None:
    pieces: list[str] = [] if path.startswith("/") else list(PurePosixPath(base).parent.parts)
    for piece in PurePosixPath(path.lstrip("/")).parts:
        if piece != "..":
            pieces.append(piece)
        elif pieces:
            pieces.pop()
        else:
            return None
    return "/".join(pieces) or "."


def _anchors(source: Source) -> set[str]:
    """Headings as GitHub links to them: lower case, spaces to hyphens, punctuation gone, repeats numbered."""
    found: set[str] = set()
    for _, line in _prose(source):
        heading = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if heading:
            slug = re.sub(r"[^\w\- ]", "", heading.group(1).lower()).replace(" ", "-")
            repeats = sum(1 for known in found if re.fullmatch(re.escape(slug) + r"(-\d+)?", known))
            found.add(f"{slug}-{repeats}" if repeats else slug)
        found.update(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", line))
    return found


RULES: dict[str, Rule] = {
    "unfinished": unfinished,
    "machine-path": machine_path,
    "private-host": private_host,
    "public-lock": public_lock,
    "final-newline": final_newline,
    "dead-link": dead_link,
}
