"""How files and folders are cut: the anatomy of a domain, lengths, names, docstrings."""

import ast
import re
from collections.abc import Iterator

from house.checkout import Checkout, Finding, Rule, Source

DOMAIN_FILES = ("errors", "model", "store", "service", "http", "jobs")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PACKAGE_DOCSTRING_LINES = 10
VAGUE = ("util", "utils", "helper", "helpers", "manager", "managers", "misc", "common")


def domain_anatomy(checkout: Checkout) -> Iterator[Finding]:
    """A domain has errors, model, store, service, http and jobs, each a file or a folder, and no other code."""
    seen: dict[tuple[str, str], bool] = {}
    for source in checkout.product():
        if (
            source.parts[:3] == ("src", "samovar", "domains")
            and len(source.parts) == 4
            and source.parts[3] != "__init__"
        ):
            yield Finding(source.path, 1, "a domain is a package: make this a folder of that name")
        name = source.domain_file
        if source.domain is None or name is None or name == "__init__":
            continue
        if name not in DOMAIN_FILES:
            yield Finding(
                source.path, 1, f"a domain has only {', '.join(DOMAIN_FILES)}: put this into the one it belongs to"
            )
        is_folder = len(source.parts) > 5
        if seen.setdefault((source.domain, name), is_folder) != is_folder:
            yield Finding(source.path, 1, f"{name} is both a file and a folder: keep the folder")


def file_length(checkout: Checkout) -> Iterator[Finding]:
    """No file of Python passes 400 lines."""
    for source in checkout.python():
        if len(source.lines) > MAX_FILE_LINES:
            message = f"{len(source.lines)} lines: split it by use case into a folder of the same name"
            yield Finding(source.path, MAX_FILE_LINES + 1, message)


def function_length(checkout: Checkout) -> Iterator[Finding]:
    """No function passes 60 lines, from ``def`` to its end. A migration is a list of tables and may."""
    for source in checkout.python():
        if source.path.startswith("migrations/"):
            continue
        for function in source.functions():
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                message = f"{function.name} has {length} lines: keep the branches and move the leaves out"
                yield Finding(source.path, function.lineno, message)


def vague_name(checkout: Checkout) -> Iterator[Finding]:
    """No file, folder, class or function is named for being useful in general."""
    for source in checkout.python():
        for part in source.parts:
            if not set(part.lower().split("_")).isdisjoint(VAGUE):
                yield Finding(source.path, 1, f"{part!r} says nothing: name it for what it holds")
        for node in source.nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _is_vague(node.name):
                yield Finding(source.path, node.lineno, f"{node.name!r} says nothing: name it for what it is or does")


def package_docstring(checkout: Checkout) -> Iterator[Finding]:
    """A package's docstring gives its purpose and its invariants in ten lines at most; a domain has one."""
    for source in checkout.product():
        if source.parts[-1] != "__init__":
            continue
        first = source.body[0] if source.body else None
        text = first.value.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None
        if isinstance(text, str) and len(text.strip().splitlines()) > MAX_PACKAGE_DOCSTRING_LINES:
            yield Finding(
                source.path, 1, "more than ten lines: the purpose and the invariants; the rest belongs to docs/"
            )
        if text is None and source.domain_file == "__init__":
            yield Finding(source.path, 1, "say in a docstring what this domain is for and what always holds in it")


def public_docstring(checkout: Checkout) -> Iterator[Finding]:
    """What other files may use says what it is: each public function and each public class that does something, at the
    top level of a file. A class of mere fields may leave it to their names: wire types mirror a format that says it."""
    for source in checkout.product():
        for node in source.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_") or ast.get_docstring(node) is not None or _is_overload(source, node):
                continue
            if isinstance(node, ast.ClassDef) and all(
                isinstance(line, ast.Assign | ast.AnnAssign | ast.Pass) for line in node.body
            ):
                continue
            yield Finding(
                source.path, node.lineno, f"{node.name} is public: add a docstring (shapes, units, errors raised)"
            )


def _is_overload(source: Source, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(source.dotted(decorator) == "typing.overload" for decorator in node.decorator_list)


def _is_vague(name: str) -> bool:
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)}
    return not words.isdisjoint(VAGUE)


RULES: dict[str, Rule] = {
    "domain-anatomy": domain_anatomy,
    "file-length": file_length,
    "function-length": function_length,
    "vague-name": vague_name,
    "package-docstring": package_docstring,
    "public-docstring": public_docstring,
}
