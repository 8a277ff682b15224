"""Gateway keys over HTTP (``/api/keys``), and the dependency that tells every control-plane route who is asking."""

from samovar.domains.identity.http.keys import router
from samovar.domains.identity.http.signed_in import Authenticate, authenticated

__all__ = ["Authenticate", "authenticated", "router"]
