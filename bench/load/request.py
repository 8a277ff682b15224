"""What is sent, where to, and what an answer must show to count."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass


class NotLoopback(ValueError):
    """The load was aimed at an address outside this machine."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the bench speaks to the loopback interface only, and {host!r} is not on it; use 127.0.0.1")


@dataclass(frozen=True, slots=True)
class Target:
    """A server on the loopback interface. Raises NotLoopback for any other address (names are not resolved)."""

    host: str
    port: int

    def __post_init__(self) -> None:
        try:
            loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise NotLoopback(self.host)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a good answer holds. `named` maps the name of the fault to the bytes whose absence is that fault.

    `ending` closes a stream; `events` is how many `data:` lines it has (0: any number).
    """

    named: tuple[tuple[str, bytes], ...]
    ending: bytes = b""
    events: int = 0

    def fault(self, status: int, body: bytes) -> str | None:
        """The first thing that is wrong with an answer, or None."""
        if status != 200:
            return f"status {status}"
        for name, needle in self.named:
            if needle not in body:
                return name
        if self.ending:
            if not body.endswith(self.ending):
                return "stream without its ending"
            if self.events and body.count(b"data: ") != self.events:
                return "stream with a wrong number of events"
        return None


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready for the wire, and the marks of its answer."""

    raw: bytes
    marks: Marks


def post(target: Target, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of one POST over a connection that stays open."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: {target.host}:{target.port}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
