"""Calls that are answered with figures: embeddings, and counts of tokens. One attempt of each; the service runs them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from samovar.domains.gateway.model import Attempt
from samovar.domains.gateway.service.estimate import prompt_tokens, settled
from samovar.domains.gateway.service.outbound import addressed
from samovar.domains.gateway.service.trail import Trail
from samovar.ports.embeddings import CountSurface, EmbeddingsLanguage, EmbeddingsSurface
from samovar.ports.transport import HttpRequest

Post: TypeAlias = Callable[[Attempt, Trail, HttpRequest], Awaitable[bytes]]
"""Sends a request and gives the answer's body. Raises what the vendor or the way to it did wrong."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The surfaces by their names, and the languages (by the dialect's name) of vendors that do not speak the caller's."""

    embeddings: Mapping[str, EmbeddingsSurface]
    languages: Mapping[str, EmbeddingsLanguage]
    counts: Mapping[str, CountSurface]


async def embed_once(figures: Figures, attempt: Attempt, trail: Trail, post: Post) -> bytes:
    """Vectors in the caller's language. Raises ``Unsupported`` for what the vendor cannot be asked."""
    call, vendor, surface = trail.call, attempt.vendor, figures.embeddings[trail.call.surface_name]
    model = attempt.target.model.name
    path = vendor.embedding_paths[attempt.dialect.name]
    if attempt.native:
        path = vendor.embedding_paths.get(surface.name, path)
        body = surface.splice(call.body, model=model, vendor=vendor)
        answer = await post(attempt, trail, addressed(attempt, trail, path=path, body=body))
        trail.used(settled(surface.tap(answer, vendor=vendor), call=call, output_chars=0, ended=True), None)
        return answer
    language = figures.languages[attempt.dialect.name]
    request = msgspec.structs.replace(surface.read_request(call.body), model=model)
    body = language.write_request(request, vendor=vendor)
    answer = await post(attempt, trail, addressed(attempt, trail, path=path, body=body))
    found = language.read_answer(answer, inputs=len(request.inputs))
    usage = settled(found.usage, call=call, output_chars=0, ended=True)
    trail.used(usage, None)
    return surface.write_answer(found, request=request, usage=usage)


async def count_once(figures: Figures, attempt: Attempt, trail: Trail, post: Post) -> bytes:
    """The vendor's own count. It costs nothing, so nothing is accounted for."""
    call, vendor = trail.call, attempt.vendor
    surface = figures.counts[call.surface_name]
    body = surface.splice(call.body, model=attempt.target.model.name, vendor=vendor)
    path = vendor.count_paths[attempt.dialect.name]
    answer = await post(attempt, trail, addressed(attempt, trail, path=path, body=body))
    surface.tap(answer)
    return answer


def estimated_count(figures: Figures, trail: Trail) -> bytes:
    """Our guess for a vendor that counts none. Raises ``Malformed``."""
    surface = figures.counts[trail.call.surface_name]
    tokens = prompt_tokens(trail.request() if trail.is_read else surface.as_prompt(trail.call.body))
    trail.is_estimate = True
    return surface.write_answer(tokens)
