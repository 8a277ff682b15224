"""The raw route between the roles of the file store, for the description."""

from collections.abc import Mapping
from typing import Final

from samovar.app.described import Described
from samovar.ports.element_calls import FRAMES_TYPE

STORAGE: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", "/storage/v1/{element_id}/{operation}"): Described(
        summary="Ask a storage element; for the installation's own roles alone",
        response=None,
        contents={200: {FRAMES_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        body={FRAMES_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        path={
            "element_id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "description": "Its name."},
            "operation": {
                "type": "string",
                "pattern": "^[a-z-]{1,32}$",
                "description": "Such as write, or attributes.",
            },
        },
        tag="storage",
        headers={"x-request-id": "This request's id."},
        statuses=(400, 401, 403, 404, 408, 409, 412, 422, 503, 507),
    ),
}
