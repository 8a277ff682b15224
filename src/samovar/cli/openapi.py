"""``samovar openapi``: the document of all roles, the same on every machine."""

import json
from pathlib import Path

from samovar.app.application import control_of, data_plane
from samovar.app.services import Services
from samovar.app.settings import Settings


def document() -> str:
    """The OpenAPI document as text. Nothing is opened for it: no database, no socket."""
    services = Services(Settings(data_dir=Path("data"), sandbox="off", _env_file=None))  # type: ignore[call-arg]
    app = control_of(services, list(data_plane(services)))
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
