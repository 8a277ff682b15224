"""What each sandbox model says. Pure: the same ask and the same wish give the same answer."""

import re
from enum import StrEnum
from itertools import cycle, islice
from typing import Final

import msgspec

from samovar.providers.sandbox.ask import Answer, Ask, Call, Stop, Tokens, ToolSpec
from samovar.providers.sandbox.errors import Problem, Refused
from samovar.providers.sandbox.schema import fitting_value
from samovar.providers.sandbox.tokens import CHARS_PER_TOKEN, Counted, tokens_of
from samovar.providers.sandbox.wish import MAX_CHUNKS, Fault, Wish

NOTHING_SAID: Final = "(nothing was said)"
_LABEL: Final = "[Samovar sandbox, not a real model]"
_WORD: Final = re.compile(r"\s*\S+\s*|\s+")
_MAX_REASONED_CHARS: Final = 200
_MAX_STRETCHED_CHARS: Final = 64 * 1024 * 1024
_MAX_WORDED_CHARS: Final = 256 * 1024
"""Longer texts are cut by length: millions of words are no list to make while others wait."""


class Model(StrEnum):
    """The sandbox's own models. ``stand-in`` answers for a vendor's name, as the request needs it."""

    ECHO = "echo"
    VISION = "vision"
    REASON = "reason"
    TOOLS = "tools"


_CALLERS: Final = frozenset((Model.TOOLS, Model.REASON))
"""Who calls tools: the one that only does that, and the one that thinks first."""
_OWN: Final = {**{str(model): model for model in Model}, **{f"sandbox/{model}": model for model in Model}}
_STAND_INS: Final = re.compile(
    r"(?:[a-z0-9-]+/)?(?:gpt-|chatgpt-|o[1345](?:$|-)|claude-|gemini-|glm-|grok-|llama|mistral|deepseek|qwen)[A-Za-z0-9._:-]*"
)


def model_names() -> list[str]:
    """The names that ``GET /v1/models`` lists."""
    return [f"sandbox/{model}" for model in Model]


def behaviour(ask: Ask) -> Model:
    """Which of our models answers ``ask``. Raises ``Refused`` (404) for a name that is none."""
    own = _OWN.get(ask.model)
    if own is not None:
        return own
    if ask.model.startswith("sandbox/") or not _STAND_INS.fullmatch(ask.model):
        message = f"The model `{ask.model[:100]}` does not exist or you do not have access to it."
        raise Refused(Problem(status=404, message=message, code="model_not_found", param="model"))
    if ask.tools:
        return Model.TOOLS
    return Model.VISION if ask.images else Model.ECHO


def answer_of(ask: Ask, model: Model, wish: Wish, counted: Counted, seen: tuple[str, ...]) -> Answer:
    """The answer. ``seen`` is what the vision model saw in each image."""
    may_call = model in _CALLERS and ask.tools and ask.tools_allowed and not ask.results
    calls = _calls(ask, wish) if may_call else ()
    reasoning = _reasoning(ask) if model is Model.REASON and ask.reasoning_allowed else ""
    text = "" if calls else _stretched(_text(ask, model, seen), wish, repeatable=ask.schema is None)
    text, stop, sequence = _bounded(text, ask)
    chars = len(text) + len(reasoning) + sum(len(call.name) + len(call.arguments) for call in calls)
    tokens = Tokens(
        input=counted.input,
        output=tokens_of(chars),
        cached=counted.cached,
        written=counted.written,
        reasoning=tokens_of(len(reasoning)),
    )
    pieces = cut(text, wish.pace.chunks) if ask.stream and text else []
    return Answer(
        text=text,
        pieces=pieces,
        tokens=tokens,
        reasoning=reasoning,
        calls=calls,
        stop="tools" if calls else stop,
        stop_sequence=sequence,
    )


def cut(text: str, chunks: int = 0) -> list[str]:
    """``text`` in words with the space after each, or in ``chunks`` pieces where it has as many words. The pieces joined
    are the text."""
    if len(text) > _MAX_WORDED_CHARS:
        size = -(-len(text) // (chunks or MAX_CHUNKS))
        return [text[at : at + size] for at in range(0, len(text), size)]
    words = _WORD.findall(text)
    count = min(chunks or len(words), MAX_CHUNKS)
    if count >= len(words):
        return words
    length = len(words)
    return ["".join(words[number * length // count : (number + 1) * length // count]) for number in range(count)]


def cut_arguments(arguments: str) -> list[str]:
    """Arguments come in small pieces of text that are no JSON by themselves; at most 64 pieces."""
    size = max(12, -(-len(arguments) // 64))
    return [arguments[at : at + size] for at in range(0, len(arguments), size)]


def _text(ask: Ask, model: Model, seen: tuple[str, ...]) -> str:
    if ask.schema is not None:
        return msgspec.json.encode(fitting_value(ask.schema, ask.user_text)).decode()
    if model is Model.VISION:
        return _sight(seen)
    if model in _CALLERS and ask.results:
        return "\n".join(ask.results) or NOTHING_SAID
    return ask.user_text or NOTHING_SAID


def _sight(seen: tuple[str, ...]) -> str:
    if not seen:
        return f"{_LABEL} There is no image in the last message."
    lines = [f"Image {number}: {facts}" for number, facts in enumerate(seen, 1)]
    return "\n".join((f"{_LABEL} I opened what was sent, and this is what the file says.", *lines))


def _reasoning(ask: Ask) -> str:
    said = ask.user_text[:_MAX_REASONED_CHARS] or NOTHING_SAID
    return f"The user said: {said}\nThe sandbox can only repeat it. So the answer is the same words."


def _calls(ask: Ask, wish: Wish) -> tuple[Call, ...]:
    if ask.tool_name is not None:
        chosen = tuple(tool for tool in ask.tools if tool.name == ask.tool_name)
    elif ask.parallel_allowed and "parallel" in ask.user_text.lower():
        chosen = ask.tools
    else:
        chosen = ask.tools[:1]
    broken = wish.fault is Fault.BAD_ARGUMENTS
    return tuple(
        Call(number, tool.name, _arguments(tool, ask.user_text, broken=broken)) for number, tool in enumerate(chosen)
    )


def _arguments(tool: ToolSpec, text: str, *, broken: bool) -> str:
    whole = msgspec.json.encode(fitting_value(tool.schema, text)).decode()
    return whole[:-1] + ',"unfinished' if broken else whole


def _stretched(text: str, wish: Wish, *, repeatable: bool) -> str:
    """``text`` said over until it has the words, or as many words as the chunks, that the wish wants."""
    wanted = wish.pace.words or wish.pace.chunks
    if not wanted or not repeatable or len(text) > _MAX_WORDED_CHARS:
        return text
    words = text.split()
    if not words or (len(words) >= wanted and not wish.pace.words):
        return text
    # A long word said 100,000 times would be gigabytes: the same bound as for what a caller may send.
    longest = max(map(len, words)) + 1
    return " ".join(islice(cycle(words), min(wanted, max(1, _MAX_STRETCHED_CHARS // longest))))


def _bounded(text: str, ask: Ask) -> tuple[str, Stop, str | None]:
    """``text`` up to the first stop sequence or to ``max_tokens``, whichever comes first."""
    end, stop, found = len(text), "end", None
    for sequence in ask.stop:
        at = text.find(sequence)
        if 0 <= at < end:
            end, stop, found = at, "stop", sequence
    if ask.max_tokens is not None and ask.max_tokens * CHARS_PER_TOKEN < end:
        return text[: ask.max_tokens * CHARS_PER_TOKEN], "length", None
    return text[:end], "stop" if stop == "stop" else "end", found
