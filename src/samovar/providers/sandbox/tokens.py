"""Token counts that anyone can check by hand, and a prompt cache that behaves as the vendors' do.

Four characters are one token (rounded up), an image is 256. A prefix of at least 1,024 tokens that was seen before is
reported as cached: in steps of 128 tokens where the vendor caches by itself (OpenAI, *Prompt caching*), up to the caller's
marks where it asks (Anthropic, *Prompt caching*).
"""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final, NamedTuple

from samovar.providers.sandbox.ask import Ask

CHARS_PER_TOKEN: Final = 4
IMAGE_TOKENS: Final = 256
MIN_CACHED_TOKENS: Final = 1_024
STEP_TOKENS: Final = 128
_MAX_STEPS: Final = 1_024


class Counted(NamedTuple):
    """Input tokens in all, and how many of them were read from and written to the cache."""

    input: int
    cached: int
    written: int


def tokens_of(chars: int) -> int:
    """Tokens for that many characters."""
    return -(-chars // CHARS_PER_TOKEN)


def prompt_tokens(ask: Ask) -> int:
    """Tokens of all that is said and shown in the request."""
    return tokens_of(sum(map(len, ask.said))) + IMAGE_TOKENS * ask.image_count


def _beginning(said: list[str], chars: int) -> bytes:
    """The first ``chars`` characters of the prompt, without joining all of a large one."""
    taken: list[str] = []
    for text in said:
        taken.append(text[:chars])
        chars -= len(text)
        if chars <= 0:
            break
    return "".join(taken).encode("utf-8", "replace")


class PromptCache:
    """Remembers the digests of at most ``capacity`` prefixes; the least recently used are forgotten."""

    def __init__(self, *, capacity: int = 65_536) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def count(self, ask: Ask, owner: bytes, *, told_cached: int) -> Counted:
        """Count ``ask`` and remember its prefixes for ``owner`` (an API key: vendors do not share caches between
        organisations). ``told_cached`` is the caller's own figure, 0 for none."""
        total = prompt_tokens(ask)
        if told_cached:
            return Counted(total, min(told_cached, total), 0)
        if total < MIN_CACHED_TOKENS:
            return Counted(total, 0, 0)
        if ask.marks is None:
            return Counted(total, self._automatic(ask.said, owner), 0)
        return self._marked(ask.said, ask.marks, owner, total)

    def forget(self) -> None:
        """Forget every prefix."""
        self._seen.clear()

    def _automatic(self, said: list[str], owner: bytes) -> int:
        text = _beginning(said, (MIN_CACHED_TOKENS + _MAX_STEPS * STEP_TOKENS) * CHARS_PER_TOKEN)
        first, step = MIN_CACHED_TOKENS * CHARS_PER_TOKEN, STEP_TOKENS * CHARS_PER_TOKEN
        running = blake2b(owner[:64] + text[:first], digest_size=16)
        cached = 0
        for number in range(_MAX_STEPS):
            end = first + number * step
            if end > len(text):
                break
            if number:
                running.update(text[end - step : end])
            if self._recall(running.digest()):
                cached = end // CHARS_PER_TOKEN
        return cached

    def _marked(self, said: list[str], marks: tuple[int, ...], owner: bytes, total: int) -> Counted:
        running = blake2b(owner[:64], digest_size=16)
        cached = written = chars = 0
        start = 0
        for mark in marks:
            for text in said[start:mark]:
                chars += len(text)
                running.update(text.encode("utf-8", "replace"))
            start = mark
            tokens = min(tokens_of(chars), total)
            if tokens < MIN_CACHED_TOKENS:
                continue
            if self._recall(running.digest()):
                cached = tokens
            written = tokens
        return Counted(total, cached, max(0, written - cached))

    def _recall(self, digest: bytes) -> bool:
        """Whether it was seen before; from now on it was."""
        known = digest in self._seen
        self._seen[digest] = None
        if known:
            self._seen.move_to_end(digest)
        elif len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return known
