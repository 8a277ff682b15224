"""A disk in memory that forgets, as a real one does, whatever was not synced when the power goes.

Each folder has the names that are seen and those that are durable; each file has its content and what of it is durable. Between
two syncs of a folder its changes are kept one by one, so that a power cut may lose any of them and keep any other.
"""

import errno
import os
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from samovar.adapters.disk import Stat, Syscalls

MODIFIED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


class PowerCut(BaseException):
    """The machine is off."""


class File:
    """Content, and what of it would be there after a power cut."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.durable = bytes(content)
        self.is_dirty = False


class Folder:
    """Names, and the changes to them since the last sync."""

    def __init__(self) -> None:
        self.names: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.changes: list[dict[str, Node | None]] = []

    def change(self, change: "dict[str, Node | None]") -> None:
        self.changes.append(change)
        apply(self.names, change)


Node = File | Folder
Hook = Callable[[int, str, str], None]


def apply(names: dict[str, Node], change: "dict[str, Node | None]") -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class SimulatedDisk(Syscalls):
    """``before`` is called before each call with its number, its name and the path (``""`` for a descriptor's), and may raise.
    ``capacity_bytes`` is how much may be written before there is no room left."""

    def __init__(self, *, before: Hook | None = None, root: Folder | None = None) -> None:
        super().__init__()
        self.root = root or Folder()
        self.calls: list[str] = []
        self.before = before
        self._lock = threading.RLock()
        self._open: dict[int, tuple[File, int]] = {}
        self._next = 100
        self._locked: set[int] = set()

    def _step(self, name: str, path: str = "") -> None:
        self.calls.append(name)
        if self.before is not None:
            self.before(len(self.calls) - 1, name, path)

    def open(self, path: str, flags: int) -> int:
        with self._lock:
            self._step("open", path)
            folder, name = self._parent(path)
            node = folder.names.get(name)
            if node is None:
                if not flags & os.O_CREAT:
                    raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
                node = File()
                folder.change({name: node})
            if isinstance(node, Folder):
                raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
            if flags & os.O_TRUNC and node.content:
                node.content.clear()
                node.is_dirty = True
            self._next += 1
            self._open[self._next] = (node, flags)
            return self._next

    def close(self, descriptor: int) -> None:
        with self._lock:
            # Closed even where it answers with an error: as Linux does.
            self._open.pop(descriptor)
            self._locked.discard(descriptor)
            self._step("close")

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        with self._lock:
            file, _ = self._open[descriptor]
            file.is_dirty = True
            half = len(content) // 2
            file.content += content[:half]
            # What stops it, stops it in the middle.
            self._step("write")
            file.content += content[half:]
            return len(content)

    def reserve(self, descriptor: int, size_bytes: int) -> None:
        with self._lock:
            self._step("reserve")
            file, _ = self._open[descriptor]
            file.is_dirty = True
            file.content.extend(bytes(max(0, size_bytes - len(file.content))))

    def pwrite(self, descriptor: int, content: bytes | memoryview, offset_bytes: int) -> int:
        with self._lock:
            file, _ = self._open[descriptor]
            file.is_dirty = True
            file.content.extend(bytes(max(0, offset_bytes + len(content) - len(file.content))))
            half = len(content) // 2
            file.content[offset_bytes : offset_bytes + half] = content[:half]
            self._step("pwrite")
            file.content[offset_bytes : offset_bytes + len(content)] = content
            return len(content)

    def pread(self, descriptor: int, size_bytes: int, offset_bytes: int) -> bytes:
        with self._lock:
            self._step("pread")
            return bytes(self._open[descriptor][0].content[offset_bytes : offset_bytes + size_bytes])

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        with self._lock:
            self._step("truncate")
            file, _ = self._open[descriptor]
            if len(file.content) != size_bytes:
                file.is_dirty = True
                del file.content[size_bytes:]

    def begin_writeback(self, descriptor: int, offset_bytes: int, size_bytes: int) -> None:
        with self._lock:
            self._step("begin_writeback")
            assert descriptor in self._open

    def fdatasync(self, descriptor: int) -> None:
        with self._lock:
            self._step("fdatasync")
            file, _ = self._open[descriptor]
            file.durable, file.is_dirty = bytes(file.content), False

    def fsync_folder(self, path: str) -> None:
        with self._lock:
            self._step("fsync_folder", path)
            folder = self._folder(path)
            folder.durable, folder.changes = dict(folder.names), []

    def rename(self, source: str, target: str) -> None:
        with self._lock:
            self._step("rename", target)
            was_in, old = self._parent(source)
            goes_to, new = self._parent(target)
            if old not in was_in.names:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", source)
            node = was_in.names[old]
            if was_in is goes_to:
                was_in.change({old: None, new: node})
            else:
                # Two folders are two things to sync: a power cut may keep the one change and lose the other.
                goes_to.change({new: node})
                was_in.change({old: None})

    def link(self, source: str, target: str) -> None:
        with self._lock:
            self._step("link", target)
            folder, name = self._parent(target)
            if name in folder.names:
                raise FileExistsError(errno.EEXIST, "File exists", target)
            folder.change({name: self._node(source)})

    def unlink(self, path: str) -> None:
        with self._lock:
            self._step("unlink", path)
            folder, name = self._parent(path)
            if name not in folder.names:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            folder.change({name: None})

    def mkdir(self, path: str) -> None:
        with self._lock:
            self._step("mkdir", path)
            folder, name = self._parent(path)
            if name in folder.names:
                raise FileExistsError(errno.EEXIST, "File exists", path)
            folder.change({name: Folder()})

    def stat(self, path: str) -> Stat:
        with self._lock:
            self._step("stat", path)
            node = self._node(path)
            return Stat(0 if isinstance(node, Folder) else len(node.content), MODIFIED_AT, isinstance(node, Folder))

    def names(self, path: str) -> list[tuple[str, bool]]:
        with self._lock:
            self._step("names", path)
            return [(name, isinstance(node, Folder)) for name, node in self._folder(path).names.items()]

    def lock(self, descriptor: int) -> None:
        with self._lock:
            self._step("lock")
            if self._locked:
                raise BlockingIOError(errno.EWOULDBLOCK, "Resource temporarily unavailable")
            self._locked.add(descriptor)

    def is_at(self, descriptor: int, path: str) -> bool:
        with self._lock:
            self._step("is_at", path)
            try:
                return self._node(path) is self._open[descriptor][0]
            except (FileNotFoundError, NotADirectoryError):
                return False

    def space(self, path: str) -> tuple[int, int]:
        with self._lock:
            self._step("space", path)
            return 2**40, 2**40

    @property
    def open_descriptors(self) -> int:
        """How many were not closed."""
        return len(self._open)

    def paths(self) -> set[str]:
        """Every file, from the root."""
        return set(_paths(self.root, ""))

    def contents(self, folder: str) -> set[bytes]:
        """What the files below ``folder`` hold."""
        found = (self._node(path) for path in self.paths() if path.startswith(folder))
        return {bytes(node.content) for node in found if isinstance(node, File)}

    def killed(self) -> "SimulatedDisk":
        """The same disk after the process was killed: nothing is lost, and nobody holds anything."""
        return SimulatedDisk(root=self.root)

    def after_power_cut(self, chance: random.Random | None) -> "SimulatedDisk":
        """What is there when the power comes back: what was synced, and of all else what ``chance`` lets stand; without
        one nothing. This disk stays as it is."""
        return SimulatedDisk(root=_survived(self.root, chance, {}))

    def _node(self, path: str) -> Node:
        node: Node = self.root
        for name in path.strip("/").split("/"):
            if not name:
                continue
            if not isinstance(node, Folder):
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
            if name not in node.names:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            node = node.names[name]
        return node

    def _folder(self, path: str) -> Folder:
        node = self._node(path)
        if not isinstance(node, Folder):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        folder, _, name = path.rpartition("/")
        return self._folder(folder), name


def _paths(folder: Folder, prefix: str) -> list[str]:
    found: list[str] = []
    for name, node in folder.names.items():
        path = f"{prefix}/{name}"
        found += _paths(node, path) if isinstance(node, Folder) else [path]
    return found


def _survived(folder: Folder, chance: random.Random | None, files: dict[int, File]) -> Folder:
    names = dict(folder.durable)
    for change in folder.changes:
        if chance is not None and chance.random() < 0.5:
            apply(names, change)
    made = Folder()
    for name, node in names.items():
        if isinstance(node, Folder):
            made.names[name] = _survived(node, chance, files)
        else:
            # One file under two names is still one.
            made.names[name] = files.setdefault(id(node), File(_content(node, chance)))
    made.durable = dict(made.names)
    return made


def _content(file: File, chance: random.Random | None) -> bytes:
    if chance is None or not file.is_dirty:
        return file.durable
    seen, durable = bytes(file.content), file.durable
    at = chance.randint(0, max(len(seen), len(durable)))
    match chance.randint(0, 4):
        case 0:
            return durable
        case 1:
            return seen
        case 2:
            return seen[:at] + durable[at:]
        case 3:
            # Its length was written and its bytes were not.
            return seen[:at] + durable[at:] + bytes(max(0, len(seen) - max(at, len(durable))))
        case _:
            # What was written last came to the disk first.
            return (durable + bytes(max(0, at - len(durable))))[:at] + seen[at:]
