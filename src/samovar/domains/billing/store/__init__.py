"""All SQL of billing. Functions take the open transaction first and filter by team first.

Whoever changes what a wallet has (its ledger rows, its leases, its budgets' counters) locks the wallet's row first, several
in the order of their ids: all that follows in the transaction is then alone with them. Looking up by lease, by process
and over all teams is done for the upkeep alone, which acts for the installation.
"""
