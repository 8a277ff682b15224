"""The entrances: raw routes for what carries bytes or is asked all the time, FastAPI's for the rest."""

from samovar.domains.files.http.door import Again, Door, Noting
from samovar.domains.files.http.routes import routers, surfaces
from samovar.domains.files.http.upload import UploadBounds

__all__ = ["Again", "Door", "Noting", "UploadBounds", "routers", "surfaces"]
