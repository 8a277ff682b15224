"""Wallets, budgets, the ledger and leases over HTTP."""

from samovar.domains.billing.http import budgets as budgets_http
from samovar.domains.billing.http import ledger as ledger_http
from samovar.domains.billing.http import wallets as wallets_http
from samovar.domains.billing.http.conventions import Authenticate
from samovar.domains.billing.service import Books, Budgets, Wallets
from samovar.ports.routes import Routes, join


def router(*, wallets: Wallets, budgets: Budgets, books: Books, authenticate: Authenticate) -> Routes:
    """``/api/wallets``, ``/api/budgets``, ``/api/ledger``, ``/api/leases``."""
    routes = Routes()
    join(routes, wallets_http.router(service=wallets, authenticate=authenticate))
    join(routes, budgets_http.router(service=budgets, authenticate=authenticate))
    join(routes, ledger_http.router(wallets=wallets, books=books, authenticate=authenticate))
    return routes
