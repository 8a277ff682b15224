"""Benchmarks of Samovar: `python -m bench [scenario ...]` from the root of the repository.

Nothing here is part of the product. The sandbox, Samovar and (if asked) nginx run as processes of their own, each pinned to
a core where the machine has one to give; the load comes from this process. Only the loopback interface is ever spoken to.
"""
