#!/usr/bin/env python
"""Rotates gateway keys from a timer or by hand, as `samovar keys` does: `rotate_api_keys.py rotate-expiring --within 7d`.

It takes every subcommand and option of `samovar keys`, and reads the same settings (see docs/operations.md).
"""

import sys

from samovar.cli.root import run

if __name__ == "__main__":
    run(["keys", *sys.argv[1:]])
