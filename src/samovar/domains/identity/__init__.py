"""Who may call, as whom, for which team, with which permissions. Keys are stored as hashes only; every row has its team.

Invariants: a secret leaves this package once, in the answer that made it; nobody makes a key that can do more than they
can; a revoked key stops at once where it was revoked, within 2 s where the bus reaches, within 10 s anywhere.
"""
