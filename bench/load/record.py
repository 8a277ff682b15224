"""What a run saw, gathered as flat arrays so that gathering costs the load generator next to nothing."""

from array import array
from collections import Counter
from dataclasses import dataclass, field


def _doubles() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Record:
    """Samples of one window. Times in seconds, except `overhead_ms`, which is copied from the answer's header as it stands.

    `errors` counts by kind over the whole run, the warm-up and the drain too: a fault there is a fault.
    """

    open: bool = False
    completed: int = 0
    chunks: int = 0
    reconnects: int = 0
    latency_s: "array[float]" = field(default_factory=_doubles)
    first_byte_s: "array[float]" = field(default_factory=_doubles)
    send_lag_s: "array[float]" = field(default_factory=_doubles)
    chunk_late_s: "array[float]" = field(default_factory=_doubles)
    overhead_ms: "array[float]" = field(default_factory=_doubles)
    errors: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)

    def fail(self, kind: str, evidence: bytes = b"") -> None:
        """Count a fault; the first of its kind keeps the start of what was received."""
        self.errors[kind] += 1
        if evidence and kind not in self.example:
            self.example[kind] = evidence[:300].decode("utf-8", "replace")
