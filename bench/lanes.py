"""A lane is a way to the sandbox: straight, through Samovar, or through nginx. The same request goes down each."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.load.request import Marks, Request, Target, post
from bench.processes import Child
from bench.wire import LAST_WORD, Route, Shape, check_stream, check_whole

PROBE_TIMEOUT_S = 30.0


class LaneBroken(RuntimeError):
    """The first request down a lane did not come back as it should; the message says with what."""


@dataclass(frozen=True, slots=True)
class Lane:
    """`gateway`: Samovar's model names and the key that it made. `processes` are those whose processor time is counted."""

    name: str
    target: Target
    key: str
    gateway: bool
    processes: Mapping[str, Child]

    def request(self, route: Route, shape: Shape) -> Request:
        """Send one request and read its answer in full; return it with the marks that every later answer must show.

        Raises LaneBroken for an answer that is not 200, WrongAnswer for one that says something else.
        """
        surface = route.surface
        model = route.model if self.gateway else route.straight_model
        body = json.dumps(surface.body(model, shape), separators=(",", ":")).encode()
        headers = surface.key_headers(self.key)
        answer = self._ask(surface.path, headers, body)
        usage = ("answer without usage", surface.usage_mark)
        if shape.stream:
            check_stream(surface, shape, answer)
            # The last event stands alone after the blank line before it.
            ending = answer[answer.rindex(b"\n\n", 0, -2) + 2 :]
            marks = Marks(
                named=(usage, ("answer without its text", LAST_WORD.encode())),
                ending=ending,
                events=answer.count(b"data: "),
            )
        else:
            check_whole(surface, shape, answer)
            marks = Marks(named=(usage, ("answer without its text", shape.text.encode())))
        return Request(raw=post(self.target, surface.path, headers, body), marks=marks)

    def _ask(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        connection = http.client.HTTPConnection(self.target.host, self.target.port, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("POST", path, body, {**headers, "content-type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise LaneBroken(f"{self.name}: no answer to {path} ({error!r})") from error
        finally:
            connection.close()
        if answer.status != 200:
            printed = self.processes[self.name].tail()
            raise LaneBroken(
                f"{self.name}: {path} answered {answer.status}: {content[:500]!r}\nIts output ended with:\n{printed}"
            )
        return content
