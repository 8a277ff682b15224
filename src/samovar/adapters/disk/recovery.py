"""What a start does with the intents that are open. Each is looked at beside what is really there, so it may be done twice, or be
stopped in the middle and done again.

Attributes stand: it happened, go forward. They do not: it never happened, take away what is left of it.
"""

from collections.abc import Callable

import msgspec

from samovar.adapters.disk.commits import Commits
from samovar.adapters.disk.durability import Durability
from samovar.adapters.disk.journal import Intent, Journal, Kind
from samovar.adapters.disk.place import Place
from samovar.adapters.disk.quarantine import Quarantine
from samovar.adapters.disk.syscalls import Syscalls
from samovar.adapters.disk.uploads import Uploads
from samovar.adapters.disk.waiting import Waiting
from samovar.ports.elements import DamagedFile, FileNotThere


class Recovery:
    """Runs once, before anything else may."""

    def __init__(
        self,
        *,
        place: Place,
        calls: Syscalls,
        durability: Durability,
        journal: Journal,
        commits: Commits,
        uploads: Uploads,
        quarantine: Quarantine,
        waiting: Waiting,
    ) -> None:
        self._place = place
        self._calls = calls
        self._durability = durability
        self._journal = journal
        self._commits = commits
        self._uploads = uploads
        self._quarantine = quarantine
        self._waiting = waiting

    def run(self, *, uploads_older_than: float) -> None:
        """Raises ``OSError``: then the element does not start, and nothing is lost."""
        steps: dict[Kind, Callable[[Intent], bool]] = {
            Kind.WRITE: self._write,
            Kind.FINISH: self._finish,
            Kind.AMEND: self._amend,
            Kind.DELETE: self._delete,
            Kind.QUARANTINE: self._set_aside,
        }
        over = [intent.number for intent in self._journal.replay() if not steps[intent.kind](intent)]
        self._journal.end(over)
        # What was found is carried into a segment of its own: a torn end is never written behind.
        self._journal.resume()
        self._uploads.sweep(older_than=uploads_older_than)

    def _write(self, intent: Intent) -> bool:
        return self._forward(intent) or self._back(intent, self._place.content(intent.path))

    def _finish(self, intent: Intent) -> bool:
        if self._forward(intent):
            self._uploads.abandon(intent.file_id)
            return True
        return self._back(intent, self._place.content(intent.path))

    def _amend(self, intent: Intent) -> bool:
        return self._forward(intent) or self._back(intent)

    def _delete(self, intent: Intent) -> bool:
        if not self._commits.stands(self._place.attributes(intent.path)):
            return self._back(intent, self._place.content(intent.path))
        return False

    def _set_aside(self, intent: Intent) -> bool:
        self._quarantine.go_on(intent)
        return False

    def _forward(self, intent: Intent) -> bool:
        """Whether it happened; then it survives from now on, and waits to be acknowledged."""
        if not self._commits.stands(self._place.attributes(intent.path)):
            return False
        self._clean(intent)
        self._durability.names(self._place.folder(intent.path))
        self._waiting.committed(msgspec.structs.replace(intent, revision=self._revision(intent)))
        return True

    def _revision(self, intent: Intent) -> int:
        """What stands, which may be less than was meant: else nobody could acknowledge it. Where it cannot be read, whatever is
        acknowledged counts."""
        try:
            return self._commits.attributes(intent.path).revision
        except (OSError, DamagedFile, FileNotThere):
            return 0

    def _back(self, intent: Intent, *content: str) -> bool:
        gone = [self._commits.remove(name) for name in content]
        if self._clean(intent) or any(gone):
            self._durability.names(self._place.folder(intent.path))
        return False

    def _clean(self, intent: Intent) -> bool:
        if not intent.file_id:
            return False
        parts = (
            self._place.content_part(intent.path, intent.file_id),
            self._place.attributes_part(intent.path, intent.file_id),
        )
        return any([self._commits.remove(name) for name in parts])
