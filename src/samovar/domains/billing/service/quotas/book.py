"""The meters and gates of a process, by name: bounded, made at first use, forgotten when idle."""

from collections import OrderedDict
from typing import Final

from samovar.domains.billing.model.quotas import Allowance
from samovar.domains.billing.service.quotas.gates import Gate, OwnGate, SharedGate
from samovar.domains.billing.service.quotas.line import Away, AwayRules, Line
from samovar.domains.billing.service.quotas.meters import LeasedMeter, Meter, OwnMeter
from samovar.ports.clock import Clock
from samovar.ports.limits import Limit

# Past half of the bound each new one looks at so many of those that stand longest, to forget the idle among them.
_SWEPT: Final = 2


class Book:
    """Meters of this process alone where ``line`` is ``None``, else such as all processes share.

    Above ``most`` meters those that stand longest go, idle or not, because memory is bounded before limits are. Each time
    any goes, ``version`` grows: what was got before is not to be used any more, or a limit would be kept twice.
    """

    def __init__(self, *, clock: Clock, line: Line | None, away: AwayRules, most: int = 200_000) -> None:
        self._now = clock.monotonic
        self._line = line
        self._away = away
        self._most = most
        self.version = 0
        self._meters: OrderedDict[tuple[str, str, Limit], Meter] = OrderedDict()
        self._gates: OrderedDict[str, Gate] = OrderedDict()

    def __len__(self) -> int:
        return len(self._meters)

    def requests(self, name: str, title: str, allowed: Allowance) -> list[Meter]:
        """The meters of a subject's limits on requests. ``title`` says whose they are."""
        away = self._away.requests
        return [self._meter("r", name, f"{title}, {limit} requests", limit, away) for limit in allowed.limits]

    def tokens(self, name: str, title: str, allowed: Allowance) -> list[Meter]:
        """The meters of a subject's limits on tokens."""
        away = self._away.tokens
        return [self._meter("t", name, f"{title}, {limit} tokens", limit, away) for limit in allowed.tokens]

    def gates(self, name: str, title: str, allowed: Allowance) -> list[Gate]:
        """The gate of a subject, where it has one."""
        if not allowed.concurrency:
            return []
        gate = self._gates.get(name)
        if gate is None:
            if len(self._gates) > self._most // 2:
                self._sweep_gates()
            gate = self._gates[name] = self._new_gate(name, allowed.concurrency)
        # The one gate of a subject takes another limit as it comes, so that those inside still count.
        gate.most, gate.title = allowed.concurrency, f"{title}, {allowed.concurrency} calls at once"
        return [gate]

    async def renew(self) -> None:
        """Hold the places in use anew, and free those that are not."""
        for gate in list(self._gates.values()):
            if isinstance(gate, SharedGate):
                await gate.renew()

    def close(self) -> None:
        """Stop what runs beside the path."""
        for meter in self._meters.values():
            meter.close()

    def _meter(self, kind: str, name: str, title: str, limit: Limit, away: Away) -> Meter:
        found = self._meters.get((kind, name, limit))
        if found is None:
            if len(self._meters) > self._most // 2:
                self._sweep_meters()
            found = self._new_meter(f"quota:{kind}:{name}", title, limit, away)
            self._meters[kind, name, limit] = found
        return found

    def _new_meter(self, name: str, title: str, limit: Limit, away: Away) -> Meter:
        if self._line is None:
            return OwnMeter(limit, title)
        return LeasedMeter(limit, title, name=name, line=self._line, away=away)

    def _new_gate(self, name: str, most: int) -> Gate:
        if self._line is None:
            return OwnGate(most, "")
        return SharedGate(most, "", name=f"quota:c:{name}", line=self._line, away=self._away.concurrency)

    def _sweep_meters(self) -> None:
        now = self._now()
        for _ in range(_SWEPT):
            key, meter = next(iter(self._meters.items()), (None, None))
            if key is None or meter is None:
                return
            if meter.idle(now) or len(self._meters) >= self._most:
                meter.close()
                del self._meters[key]
                self.version += 1
            else:
                # Not yet: look at the next one another time, else one long-lived meter would shield all behind it.
                self._meters.move_to_end(key)

    def _sweep_gates(self) -> None:
        for _ in range(_SWEPT):
            name, gate = next(iter(self._gates.items()), (None, None))
            if name is None or gate is None:
                return
            if not gate.inside or len(self._gates) >= self._most:
                del self._gates[name]
                self.version += 1
            else:
                self._gates.move_to_end(name)
