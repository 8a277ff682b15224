"""Which path leads to which entrance."""

from samovar.domains.gateway.http.listings import GEMINI_ROOTS
from samovar.domains.gateway.http.model_in_path import PREFIX
from samovar.ports.asgi import Endpoint, Route


def surfaces(
    *,
    chat: Endpoint,
    responses: Endpoint,
    embeddings: Endpoint,
    messages: Endpoint,
    count_tokens: Endpoint,
    gemini: Endpoint,
    models: Endpoint,
    gemini_models: Endpoint,
) -> list[Route]:
    """The table of the data plane. Anthropic's SDK takes a base URL with or without ``/anthropic``, and Google's
    calls one or the other version of its API."""
    google = [
        route
        for root in GEMINI_ROOTS
        for route in (
            Route("POST", f"{root}/", gemini, f"{PREFIX}{{model}}", is_prefix=True),
            Route("GET", root, gemini_models, GEMINI_ROOTS[0]),
            Route("GET", f"{root}/", gemini_models, f"{PREFIX}{{model}}", is_prefix=True),
        )
    ]
    return [
        Route("POST", "/v1/chat/completions", chat, "/v1/chat/completions"),
        Route("POST", "/v1/responses", responses, "/v1/responses"),
        Route("POST", "/v1/embeddings", embeddings, "/v1/embeddings"),
        Route("POST", "/v1/messages", messages, "/v1/messages"),
        Route("POST", "/anthropic/v1/messages", messages, "/v1/messages"),
        Route("POST", "/v1/messages/count_tokens", count_tokens, "/v1/messages/count_tokens"),
        Route("POST", "/anthropic/v1/messages/count_tokens", count_tokens, "/v1/messages/count_tokens"),
        *google,
        Route("GET", "/v1/models", models, "/v1/models"),
        Route("GET", "/v1/models/", models, "/v1/models/{id}", is_prefix=True),
    ]
