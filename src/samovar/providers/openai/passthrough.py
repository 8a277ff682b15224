"""Calls whose caller and vendor both speak OpenAI chat: the body is routed, touched up and tapped, never translated."""

from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import BadAnswer, Head, Tapped, Vendor
from samovar.ports.json_requests import Refusals, check_text, decode
from samovar.providers.openai.errors import error_event, is_error
from samovar.providers.openai.usage import stop_of, usage_of
from samovar.providers.openai.wire import ABSENT, OWN_FIELDS, AnswerBody, HeadBody, Typed, encode, is_null

_TRUE: Final = b"true"
DEFAULTS: Final = {"n": b"1", "parallel_tool_calls": b"true", "tool_choice": b'"auto"', "logprobs": b"false"}
"""What a vendor without the field does anyway."""


def read_head(body: bytes) -> Head:
    """Raises ``Malformed``."""
    if not body.isascii():
        check_text(body)
    head = decode(body, HeadBody)
    options = head.stream_options
    return Head(
        model=head.model,
        stream=head.stream is True,
        wants_usage=options is not None and options.include_usage is True,
        # Which of the two binds differs from vendor to vendor: money is held for the larger.
        max_output_tokens=max(head.max_completion_tokens or 0, head.max_tokens or 0) or None,
        choices=head.n or 1,
        drop_params=head.drop_params is True,
    )


def amended(body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
    """The caller's fields byte for byte, but for the bound on the answer; ``drop_params`` where he does not say it."""
    changed: dict[str, object] = {**decode(body, dict[str, Raw])}
    if max_output_tokens is not None:
        changed.pop("max_tokens", None)
        changed["max_completion_tokens"] = max_output_tokens
    if drop_params:
        changed.setdefault("drop_params", True)
    return encode(changed)


def splice(body: bytes, *, model: str, vendor: Vendor) -> bytes:
    """The caller's fields byte for byte, but for the few that must change."""
    fields = decode(body, dict[str, Raw])
    changed: dict[str, object] = {**fields, "model": model}
    drop = _is_true(fields, "drop_params")
    for name in OWN_FIELDS:
        changed.pop(name, None)
    quirks = vendor.quirks
    if drop:
        for name in quirks.rejects:
            changed.pop(name, None)
        # A form that it cannot promise goes with the fields it does not take.
        if "json_schema" in quirks.rejects and b"json_schema" in bytes(fields.get("response_format", b"")):
            changed.pop("response_format", None)
    else:
        _refuse(fields, vendor=vendor)
    if not quirks.stream_usage_option:
        # It says its usage unasked, and some (Mistral) refuse a field they do not know.
        changed.pop("stream_options", None)
    elif _is_true(fields, "stream"):
        changed["stream_options"] = _with_usage(fields.get("stream_options", ABSENT))
    if quirks.max_tokens_field == "max_tokens" and "max_completion_tokens" in changed:
        # An older server ignores the newer name, and the answer would have no bound.
        bound = changed.pop("max_completion_tokens")
        if is_null(fields.get("max_tokens", ABSENT)):
            changed["max_tokens"] = bound
    if not quirks.developer_role and b'"developer"' in bytes(fields.get("messages", b"")):
        changed["messages"] = [_plain_role(message) for message in decode(fields["messages"], list[Raw])]
    return encode(changed)


def _is_true(fields: dict[str, Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) == _TRUE


def _refuse(fields: dict[str, Raw], *, vendor: Vendor) -> None:
    """Raises :class:`Unsupported` for what the vendor would refuse, or leave out without a word."""
    rejects = vendor.quirks.rejects
    flaws: list[Flaw] = []
    if not rejects.isdisjoint(fields):
        flaws += [
            Flaw(f"$.{name}", f"{vendor.title} does not take it")
            for name in sorted(rejects & fields.keys())
            if not is_null(fields[name]) and bytes(fields[name]) != DEFAULTS.get(name)
        ]
    if "response_format" in fields and not is_null(fields["response_format"]):
        kind = decode(fields["response_format"], Typed, where="$.response_format").type
        if kind in rejects:
            flaws.append(Flaw("$.response_format", f"{vendor.title} cannot promise {kind}"))
    if flaws:
        refusals = Refusals(drop=False)
        refusals.extend(flaws)
        refusals.settle(vendor.title)


def _with_usage(options: Raw) -> dict[str, object]:
    said = {} if is_null(options) else decode(options, dict[str, Raw], where="$.stream_options")
    return {**said, "include_usage": True}


def _plain_role(message: Raw) -> object:
    fields = decode(message, dict[str, Raw], where="$.messages")
    return {**fields, "role": "system"} if bytes(fields.get("role", b"")) == b'"developer"' else message


def read_answer(body: bytes) -> AnswerBody:
    """Raises :class:`BadAnswer`, and ``UpstreamError`` for an error in a 200 (OpenRouter)."""
    try:
        answer = msgspec.json.decode(body, type=AnswerBody)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the provider's answer is no chat completion: {error}") from error
    if is_error(error=answer.error, kind=answer.object):
        raise error_event(body)
    if not answer.choices:
        raise BadAnswer("the provider's answer has no choices")
    first = answer.choices[0]
    if not is_null(first.error):
        raise error_event(first.error)
    return answer


def tap(body: bytes, *, vendor: Vendor) -> Tapped:
    """The model, usage and stop reason of an answer that passes through."""
    answer = read_answer(body)
    assert answer.choices  # read_answer saw to it
    first = answer.choices[0]
    return Tapped(
        model=answer.model or "",
        usage=usage_of(answer.usage, quirks=vendor.quirks, service_tier=answer.service_tier),
        stop=stop_of(first.finish_reason, matched=first.stop_reason),
    )
