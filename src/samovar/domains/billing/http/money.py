"""Wallets, budgets, the ledger and leases over HTTP."""

from fastapi import APIRouter

from samovar.domains.billing.http import budgets as budgets_http
from samovar.domains.billing.http import ledger as ledger_http
from samovar.domains.billing.http import wallets as wallets_http
from samovar.domains.billing.http.conventions import Authenticate
from samovar.domains.billing.service import Books, Budgets, Wallets


def router(*, wallets: Wallets, budgets: Budgets, books: Books, authenticate: Authenticate) -> APIRouter:
    """``/api/wallets``, ``/api/budgets``, ``/api/ledger``, ``/api/leases``."""
    routes = APIRouter()
    routes.include_router(wallets_http.router(service=wallets, authenticate=authenticate))
    routes.include_router(budgets_http.router(service=budgets, authenticate=authenticate))
    routes.include_router(ledger_http.router(wallets=wallets, books=books, authenticate=authenticate))
    return routes
