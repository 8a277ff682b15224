"""The page and the probes are tested on a whole Samovar."""

from tests.app.conftest import serve, served

__all__ = ["serve", "served"]
