"""Wallets, budgets, the ledger and leases over HTTP."""

from fastapi import APIRouter, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from samovar.domains.billing.http import budgets as budgets_http
from samovar.domains.billing.http import ledger as ledger_http
from samovar.domains.billing.http import wallets as wallets_http
from samovar.domains.billing.http.conventions import Authenticate
from samovar.domains.billing.service import Books, Budgets, Wallets


def router(*, wallets: Wallets, budgets: Budgets, books: Books, authenticate: Authenticate) -> APIRouter:
    """``/api/wallets``, ``/api/budgets``, ``/api/ledger``, ``/api/leases``."""
    bearer = HTTPBearer(auto_error=False, description="A gateway key, or the admin token.")
    admin_token = APIKeyHeader(name="X-Admin-Token", auto_error=False, description="The installation's admin token.")
    routes = APIRouter(dependencies=[Security(bearer), Security(admin_token)])
    routes.include_router(wallets_http.router(service=wallets, authenticate=authenticate))
    routes.include_router(budgets_http.router(service=budgets, authenticate=authenticate))
    routes.include_router(ledger_http.router(wallets=wallets, books=books, authenticate=authenticate))
    return routes
