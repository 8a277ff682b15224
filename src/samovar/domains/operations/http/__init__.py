"""Operations over HTTP: health, readiness, metrics, about, the documentation page."""

from samovar.domains.operations.http.health import router

__all__ = ["router"]
