"""What was committed and waits to be acknowledged."""

import threading
from collections.abc import Iterable

from samovar.adapters.disk.journal import Intent


class Waiting:
    """Intents whose work stands, by file. Oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_path: dict[str, list[Intent]] = {}
        self._paths: dict[str, str] = {}

    def committed(self, intent: Intent) -> None:
        """This one's work stands."""
        with self._lock:
            self._by_path.setdefault(intent.path, []).append(intent)
            self._paths[intent.file_id] = intent.path

    def acknowledged(self, rows: Iterable[tuple[str, int]]) -> list[int]:
        """The numbers of what was waiting of these files, up to these revisions; it waits no more."""
        done: list[int] = []
        with self._lock:
            for file_id, revision in rows:
                path = self._paths.get(file_id)
                if path is None:
                    continue
                intents = self._by_path[path]
                done += [intent.number for intent in intents if intent.revision <= revision]
                self._by_path[path] = [intent for intent in intents if intent.revision > revision]
                if not self._by_path[path]:
                    del self._by_path[path], self._paths[file_id]
        return done

    def forget(self, path: str) -> list[int]:
        """The same of a file that is no more."""
        with self._lock:
            intents = self._by_path.pop(path, [])
            for intent in intents:
                self._paths.pop(intent.file_id, None)
            return [intent.number for intent in intents]

    def path_of(self, file_id: str) -> str | None:
        """Where this file stands, while it waits."""
        return self._paths.get(file_id)

    def paths(self) -> list[str]:
        """All that wait, the longest-waiting first."""
        with self._lock:
            return list(self._by_path)
