"""Gateway keys, service accounts and tokens over HTTP, and the dependency that tells every control-plane route who is asking."""

from samovar.domains.identity.http.accounts import accounts_router
from samovar.domains.identity.http.keys import router
from samovar.domains.identity.http.signed_in import Authenticate, authenticated
from samovar.domains.identity.http.tokens import tokens_router

__all__ = ["Authenticate", "accounts_router", "authenticated", "router", "tokens_router"]
