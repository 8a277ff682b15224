"""What a test may not do, and how it is called."""

import ast
from collections.abc import Iterator

from house.checkout import Checkout, Finding, Rule

MIN_WORDS = 4  # with the word `test`


def nothing_patched(checkout: Checkout) -> Iterator[Finding]:
    """Tests run real parts: no mocks, and nothing of ours replaced under its own feet."""
    advice = "hand the part in through a constructor, or run a real one (the sandbox, SQLite, a socket)"
    for source in checkout.tests():
        for _, target, line in source.imports:
            if target.startswith("unittest.mock") or target.split(".")[0] in ("mock", "pytest_mock"):
                yield Finding(source.path, line, f"no mocks: {advice}")
        for function in source.functions():
            if "mocker" in {argument.arg for argument in function.args.args}:
                yield Finding(source.path, function.lineno, f"no mocker: {advice}")
        for node in source.nodes:
            if not isinstance(node, ast.Attribute) or node.attr not in ("setattr", "delattr"):
                continue
            if "monkeypatch" in ast.unparse(node.value):
                yield Finding(source.path, node.lineno, f"nothing is patched: {advice}")


def test_sentence(checkout: Checkout) -> Iterator[Finding]:
    """A test's name is a sentence that says what holds."""
    for source in checkout.tests():
        for function in source.functions():
            words = [word for word in function.name.split("_") if word]
            if words[:1] == ["test"] and len(words) < MIN_WORDS:
                message = (
                    f"{function.name}: say what holds, in {MIN_WORDS} words or more (test_a_revoked_key_is_refused)"
                )
                yield Finding(source.path, function.lineno, message)


RULES: dict[str, Rule] = {"nothing-patched": nothing_patched, "test-sentence": test_sentence}
