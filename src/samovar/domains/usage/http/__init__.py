"""``/api/usage``: series, breakdowns, single calls, their export, and forecasts."""

from samovar.domains.usage.http.routes import router

__all__ = ["router"]
