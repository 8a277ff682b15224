"""What the domains ask of the outside: Protocols, and the types that cross them.

Each port has one contract suite in ``tests/contract`` that runs over all its adapters. A port never imports an adapter.
"""
