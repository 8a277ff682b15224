"""Routes of the control plane, as domains make them and one app serves them."""

import re
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute


class Routes(APIRouter):
    """A domain's routes. An app or other routes take them by :meth:`samovar.ports.routes.join`, as they stand: FastAPI's own
    ``include_router`` looks through every signature and model a second time, which is a third of what building an app costs."""

    def __init__(
        self, *, prefix: str = "", tags: list[str] | None = None, default_response_class: type[Response] = JSONResponse
    ) -> None:
        named: Any = tags
        super().__init__(
            prefix=prefix,
            tags=named,
            default_response_class=default_response_class,
            # curl says that its body is a form, whatever it is.
            strict_content_type=False,
            generate_unique_id_function=operation_id,
        )


def join(routes: APIRouter, *others: APIRouter, **described: Any) -> None:
    """Add the ``others``' routes behind those of ``routes``. What is ``described`` stands with each of them in the OpenAPI
    document."""
    for other in others:
        for route in other.routes:
            if isinstance(route, APIRoute) and described:
                route.openapi_extra = {**(route.openapi_extra or {}), **described}
            routes.routes.append(route)


def operation_id(route: APIRoute) -> str:
    """Method and path as one word: unique, and the same for as long as the address is."""
    return named(min(route.methods or {"get"}), route.path)


def named(method: str, path: str) -> str:
    """As :func:`operation_id`, for what is no route of FastAPI's."""
    return "_".join([method.lower(), *re.findall(r"[a-z0-9]+", path.lower())])
