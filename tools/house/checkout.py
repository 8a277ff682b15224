"""What the rules look at: the text files of a checkout, each parsed once."""

import ast
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeAlias


class Breach(NamedTuple):
    """One rule broken in one place."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


class Finding(NamedTuple):
    """What a rule says; its name is added by the table it stands in."""

    path: str
    line: int
    message: str


@dataclass(frozen=True)
class Source:
    """One text file. ``path`` is relative to the checkout, with forward slashes."""

    path: str
    text: str

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The path's pieces, the last without its suffix."""
        return Path(self.path).with_suffix("").parts

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines."""
        return self.text.splitlines()

    @property
    def is_python(self) -> bool:
        """Whether this is Python."""
        return self.path.endswith(".py")

    @property
    def is_product(self) -> bool:
        """Whether this is part of the program."""
        return self.is_python and self.path.startswith("src/samovar/")

    @property
    def is_test(self) -> bool:
        """Whether this belongs to the tests."""
        return self.is_python and self.path.startswith("tests/")

    @cached_property
    def domain(self) -> str | None:
        """The domain that this is a file of."""
        inside = self.parts[:3] == ("src", "samovar", "domains") and len(self.parts) > 4
        return self.parts[3] if inside else None

    @cached_property
    def domain_file(self) -> str | None:
        """Which of a domain's files this is or belongs to: ``"store"`` for ``store.py`` and for ``store/keys.py``."""
        return self.parts[4] if self.domain else None

    def within(self, *folders: str) -> bool:
        """Whether this stands in one of the folders or files named, counted from ``src/samovar/``."""
        return any(self.path.startswith(f"src/samovar/{folder}") for folder in folders)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the syntax tree; none for a file that is not Python or does not parse (ruff says so)."""
        if not self.is_python:
            return []
        try:
            return list(ast.walk(ast.parse(self.text)))
        except SyntaxError:
            return []

    @cached_property
    def body(self) -> list[ast.stmt]:
        """The statements at the top level."""
        return self.nodes[0].body if self.nodes and isinstance(self.nodes[0], ast.Module) else []

    @cached_property
    def imports(self) -> list[tuple[str, str, int]]:
        """(name here, what it stands for, line) of each name imported absolutely, at any depth."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    whole = alias.name if alias.asname else alias.name.split(".")[0]
                    found.append((alias.asname or whole, alias.name if alias.asname else whole, node.lineno))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    found.append((alias.asname or alias.name, f"{node.module}.{alias.name}", node.lineno))
        return found

    @cached_property
    def _imported(self) -> dict[str, str]:
        return {name: target for name, target, _ in self.imports}

    def dotted(self, node: ast.AST) -> str:
        """What an expression such as ``dt.now`` names, through this file's imports: ``datetime.datetime.now``; ``""`` for
        one that does not start at an import."""
        tail: list[str] = []
        while isinstance(node, ast.Attribute):
            tail.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._imported:
            return ""
        return ".".join([self._imported[node.id], *reversed(tail)])

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Each call, with what it calls as :meth:`dotted` has it."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Each function, at any depth."""
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def line(self, number: int) -> str:
        """One line's text."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True)
class Checkout:
    """A checkout's text files: those that git knows or would take, or all where there is no git."""

    root: Path
    sources: tuple[Source, ...]

    @classmethod
    def of(cls, root: Path) -> "Checkout":
        """Read the checkout in ``root``. A file that is not UTF-8 text is left out."""
        sources = []
        for path in sorted(_files(root)):
            try:
                text = (root / path).read_bytes().decode()
            except (UnicodeDecodeError, FileNotFoundError):
                continue
            if "\0" not in text:
                sources.append(Source(path, text))
        return cls(root, tuple(sources))

    def python(self) -> Iterator[Source]:
        """The files in Python."""
        return (source for source in self.sources if source.is_python)

    def product(self) -> Iterator[Source]:
        """The program's own files."""
        return (source for source in self.sources if source.is_product)

    def tests(self) -> Iterator[Source]:
        """The tests' files."""
        return (source for source in self.sources if source.is_test)


Rule: TypeAlias = Callable[[Checkout], Iterator[Finding]]


def _files(root: Path) -> list[str]:
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout.decode()
        return [path for path in listed.split("\0") if path and (root / path).is_file()]
    return [
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
