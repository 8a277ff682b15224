"""The parts of an element, put together."""

from collections.abc import Callable

from samovar.adapters.disk.commits import Commits
from samovar.adapters.disk.durability import Durability
from samovar.adapters.disk.journal import Journal
from samovar.adapters.disk.place import Place
from samovar.adapters.disk.quarantine import Quarantine
from samovar.adapters.disk.recovery import Recovery
from samovar.adapters.disk.state import State
from samovar.adapters.disk.syscalls import Syscalls
from samovar.adapters.disk.uploads import Uploads
from samovar.adapters.disk.waiting import Waiting
from samovar.adapters.disk.walk import Walk
from samovar.ports.element_flow import UnderWay
from samovar.ports.elements import Mode


class Parts:
    """All that blocks. ``allowed`` is asked before each commit point. :meth:`start` first."""

    def __init__(
        self,
        *,
        element_id: str,
        configured: Mode,
        root: str,
        calls: Syscalls,
        may_begin: Callable[[], bool],
        allowed: Callable[[], None],
        segment_bytes: int,
        unacknowledged_at_most: int,
    ) -> None:
        self.calls = calls
        self.place = place = Place(root)
        self.durability = durability = Durability(calls=calls)
        self.under_way = UnderWay()
        self.waiting = waiting = Waiting()
        self.state = State(
            element_id=element_id,
            configured=configured,
            may_begin=may_begin,
            place=place,
            calls=calls,
            durability=durability,
        )
        self.journal = journal = Journal(
            place.journal,
            calls=calls,
            durability=durability,
            segment_bytes=segment_bytes,
            open_at_most=unacknowledged_at_most,
        )
        self.commits = commits = Commits(
            element_id=element_id,
            place=place,
            calls=calls,
            durability=durability,
            journal=journal,
            waiting=waiting,
            allowed=allowed,
            check_held=self.state.check_held,
        )
        self.uploads = uploads = Uploads(
            place=place, calls=calls, durability=durability, journal=journal, commits=commits
        )
        self.quarantine = quarantine = Quarantine(
            place=place, calls=calls, durability=durability, journal=journal, waiting=waiting, commits=commits
        )
        self.walk = Walk(place=place, calls=calls, commits=commits, under_way=self.under_way)
        self._recovery = Recovery(
            place=place,
            calls=calls,
            durability=durability,
            journal=journal,
            commits=commits,
            uploads=uploads,
            quarantine=quarantine,
            waiting=waiting,
        )

    def start(self, *, uploads_older_than: float) -> Mode:
        """Hold the folder, recover, and say in which mode it starts. Raises ``OSError``, ``ElementUnavailable``."""
        self.state.take_hold()
        try:
            mode = self.state.mode()
            self._recovery.run(uploads_older_than=uploads_older_than)
        except BaseException:
            try:
                self.journal.drop()
            finally:
                self.state.let_go()
            raise
        return mode

    def room(self) -> tuple[int, int]:
        """Capacity and what is free, in bytes. Raises ``OSError``, and ``ElementUnavailable`` where the disk is not there."""
        self.state.check_held()
        return self.calls.space(self.place.root)

    def stop(self) -> None:
        """Write what waits in the journal, and let go of the folder."""
        try:
            self.journal.close()
        finally:
            self.state.let_go()
