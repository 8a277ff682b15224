"""What the scenarios share: how long to measure, on which lanes, and the windows themselves."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import uvloop

from bench.figures import median
from bench.lanes import Lane
from bench.load.connection import Connection, PacedConnection
from bench.load.drivers import ClosedLoop, OpenLoop
from bench.load.record import Record
from bench.load.request import Request
from bench.load.window import Seen, Span, Watched, observe
from bench.stage import Stage
from bench.wire import Route, Shape

OPEN_LOOP_CONNECTIONS = 256
CORE = "its core in all"


@dataclass(frozen=True, slots=True)
class Measure:
    """How long and how often. The bounds are checked where the options are read."""

    seconds: float
    warmup_s: float
    repeats: int
    connections: int
    paced_streams: int
    memory_calls: int
    starts: int
    seed: int


@dataclass(slots=True)
class Bench:
    """One run. `errors` gathers every fault of every window, by lane and kind; any at all fails the run."""

    stage: Stage
    measure: Measure
    with_nginx: bool
    before: Path | None = None
    """The program of an older build."""
    errors: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    calls_per_s: float | None = None
    _lanes: dict[str, Lane] = field(default_factory=dict)

    @property
    def straight(self) -> Lane:
        return self._lane("sandbox", self.stage.sandbox)

    @property
    def samovar(self) -> Lane:
        return self._lane("samovar", self.stage.samovar)

    @property
    def older(self) -> Lane | None:
        """Through the older build, if one was named."""
        before = self.before
        return None if before is None else self._lane("older", lambda: self.stage.samovar(before))

    @property
    def paid(self) -> Lane:
        return self._lane("paid", lambda: self.stage.paid(self.samovar))

    def lanes(self) -> list[Lane]:
        """Straight, through Samovar and, if asked, through nginx: in the order in which each repeat goes through them."""
        nginx = [self._lane("nginx", self.stage.nginx)] if self.with_nginx else []
        return [self.straight, self.samovar, *nginx]

    def take_turns(self, lanes: Sequence[Lane], window: Callable[[Lane], Seen]) -> list[list[Seen]]:
        """The windows of each lane. Each has its turn, over and over: what disturbs the machine then disturbs all lanes alike."""
        rounds = [[window(lane) for lane in lanes] for _ in range(self.measure.repeats)]
        return [[*windows] for windows in zip(*rounds, strict=True)]

    def closed(self, lane: Lane, route: Route, shape: Shape) -> Seen:
        """Every connection asks again as soon as it is answered."""
        driver = ClosedLoop(lane.request(route, shape), randomness=self._randomness())
        return self._run(lane, driver, self._span(), self.measure.connections, partial(Connection, driver))

    def watched(self, lane: Lane, route: Route, shape: Shape, *, span: Span, by: Mapping[str, Watched]) -> Seen:
        """As :meth:`closed`, for another span and with more that is watched."""
        driver = ClosedLoop(lane.request(route, shape), randomness=self._randomness())
        return self._run(lane, driver, span, self.measure.connections, partial(Connection, driver), more=by)

    def counted(
        self, lane: Lane, route: Route, shape: Shape, *, calls: int, limit_s: float, look: Callable[[Record], None]
    ) -> Seen:
        """The same until that many calls are done, or `limit_s` has passed."""
        driver = ClosedLoop(lane.request(route, shape), randomness=self._randomness())
        span = Span(seconds=limit_s, warmup_s=self.measure.warmup_s, calls=calls)
        return self._run(lane, driver, span, self.measure.connections, partial(Connection, driver), look)

    def paced(self, lane: Lane, route: Route, shape: Shape) -> Seen:
        """Many slow streams at once, their starts spread over the length of one so that they never go in step."""
        pace_s = shape.pace_ms / 1000
        length_s = shape.words * pace_s
        driver = ClosedLoop(lane.request(route, shape), stagger_s=length_s, randomness=self._randomness())
        span = Span(seconds=self.measure.seconds, warmup_s=length_s + self.measure.warmup_s)
        return self._run(
            lane, driver, span, self.measure.paced_streams, partial(PacedConnection, driver, pace_s=pace_s)
        )

    def open(self, lane: Lane, route: Route, shape: Shape, *, rate_per_s: float) -> Seen:
        """Arrivals by a timetable of their own."""
        driver = OpenLoop(lane.request(route, shape), rate_per_s=rate_per_s, randomness=self._randomness())
        return self._run(lane, driver, self._span(), OPEN_LOOP_CONNECTIONS, partial(Connection, driver))

    def asked(self, lane: Lane, request: Request, *, rate_per_s: float | None = None) -> Seen:
        """A request that is no call: as often as it is answered, or at a rate."""
        if rate_per_s is None:
            closed = ClosedLoop(request, randomness=self._randomness())
            return self._run(lane, closed, self._span(), self.measure.connections, partial(Connection, closed))
        opened = OpenLoop(request, rate_per_s=rate_per_s, randomness=self._randomness())
        return self._run(lane, opened, self._span(), OPEN_LOOP_CONNECTIONS, partial(Connection, opened))

    def _span(self) -> Span:
        return Span(seconds=self.measure.seconds, warmup_s=self.measure.warmup_s)

    def _randomness(self) -> random.Random:
        return random.Random(self.measure.seed)

    def _run(
        self,
        lane: Lane,
        driver: ClosedLoop | OpenLoop,
        span: Span,
        connections: int,
        connect: Callable[[], Connection],
        look: Callable[[Record], None] | None = None,
        *,
        more: Mapping[str, Watched] | None = None,
    ) -> Seen:
        for process in lane.processes.values():
            process.check()
        watched: dict[str, Watched] = {**lane.processes, CORE: self.stage.subject_core(), **(more or {})}
        window = observe(
            lane.target, driver, span, connections=connections, connect=connect, watched=watched, look=look
        )
        seen = uvloop.run(window)
        for kind, count in seen.record.errors.items():
            self.errors[f"{lane.name}: {kind}"] += count
        for kind, example in seen.record.example.items():
            self.examples.setdefault(f"{lane.name}: {kind}", example)
        if not seen.record.completed and not seen.record.chunks and not seen.record.errors:
            self.errors[f"{lane.name}: nothing was answered in the window"] += 1
        return seen

    def _lane(self, name: str, start: Callable[[], Lane]) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = start()
        return self._lanes[name]


def typical(seen: Sequence[Seen], of: Callable[[Seen], float]) -> float:
    """The median over the repeats."""
    return median([of(each) for each in seen])


def spread(seen: Sequence[Seen], of: Callable[[Seen], float]) -> str:
    """The lowest and highest of the repeats, for the eye; nothing when there was one."""
    values = [of(each) for each in seen]
    return f"{min(values):,.0f} to {max(values):,.0f}" if len(values) > 1 else ""


def busy(seen: Sequence[Seen]) -> str:
    """How busy each process was, in percent of one core; and the core of Samovar, whoever was on it."""
    shares = {name: median([each.cpu_s[name] / each.seconds for each in seen]) for name in seen[0].cpu_s}
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
