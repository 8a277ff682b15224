"""The house rules that no linter knows. ``python tools/tidy.py [FOLDER]`` prints ``file:line: rule: message`` for each breach.

Each rule is one small function in ``tools/house``, named as it is printed; its message says what to do. A breach of each is
planted in ``tests/house`` and must be caught. Exit status 1 when there is any breach.
``--list`` prints the rules.
"""

import sys
from pathlib import Path

from house import RULES, Checkout, breaches


def main(arguments: list[str]) -> int:
    """Check the checkout in the folder given, by default the one this file stands in."""
    if arguments == ["--list"]:
        for name, rule in RULES.items():
            print(f"{name}: {' '.join((rule.__doc__ or '').split())}")
        return 0
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    checkout = Checkout.of(root)
    found = breaches(checkout)
    for breach in found:
        print(breach)
    print(f"tidy: {len(RULES)} rules, {len(checkout.sources)} files, {len(found)} breaches", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
