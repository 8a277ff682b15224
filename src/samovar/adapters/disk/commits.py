"""The write protocol, step by step. All of it blocks and is called in threads.

1. the intent, synced                      4. rename into its place, the folder synced
2. the bytes into a temporary beside       5. attr.json in the same way: its rename is the commit point
3. the bytes synced                        6. the intent is closed when somebody acknowledges the file
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from samovar.adapters.disk.durability import Durability
from samovar.adapters.disk.journal import Intent, Journal, Kind
from samovar.adapters.disk.place import Place
from samovar.adapters.disk.syscalls import Syscalls, read_all, write_all
from samovar.adapters.disk.waiting import Waiting
from samovar.kernel.errors import StaleRevision
from samovar.ports.element_rules import (
    check_amendment,
    check_length,
    check_same,
    decoded,
    encoded,
    made_of,
)
from samovar.ports.elements import ATTRIBUTES_BYTES, Attributes, DamagedFile, Draft, ElementUnavailable, FileNotThere

if TYPE_CHECKING:
    from hashlib import _Hash

_WRITEBACK_BYTES = 1024 * 1024
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Taking:
    """A file that is being written: its descriptor, and how far the protocol has come with it."""

    __slots__ = ("committed", "content", "descriptor", "digest", "draft", "in_doubt", "intent", "moved", "size_bytes")

    def __init__(self, draft: Draft, intent: Intent, content: str) -> None:
        self.draft = draft
        self.intent = intent
        self.content = content
        self.descriptor = -1
        self.digest: _Hash = hashlib.sha256()
        self.size_bytes = 0
        self.moved = False
        self.in_doubt = False
        self.committed = False


class Commits:
    """Writes, amends and deletes, each as one step that happens or does not. ``allowed`` raises where the mode, or a sync that
    failed, forbids to go on: it is asked before the commit point once more. ``check_held`` raises where the element's folder is
    another one by now."""

    def __init__(
        self,
        *,
        element_id: str,
        place: Place,
        calls: Syscalls,
        durability: Durability,
        journal: Journal,
        waiting: Waiting,
        allowed: Callable[[], None],
        check_held: Callable[[], None],
    ) -> None:
        self._element_id = element_id
        self._place = place
        self._calls = calls
        self._durability = durability
        self._journal = journal
        self._waiting = waiting
        self._allowed = allowed
        self.check_held = check_held

    def whole(self, draft: Draft, pieces: Sequence[bytes]) -> Attributes:
        """A file that is all there already, in one go."""
        taking = self.begin(draft)
        if isinstance(taking, Attributes):
            return taking
        try:
            content = b"".join(pieces)
            taking.digest.update(content)
            self.take(taking, [content])
            return self.commit(taking)
        except BaseException:
            self.roll_back(taking)
            raise

    def begin(self, draft: Draft) -> "Taking | Attributes":
        """Intent and temporary file; or what stands there already, when this is a step that is repeated."""
        if (stands := self.standing(draft)) is not None:
            return stands
        intent = self._journal.begin(Kind.WRITE, file_id=draft.file_id, path=draft.path, revision=draft.revision)
        taking = Taking(draft, intent, self._place.content_part(draft.path, draft.file_id))
        try:
            try:
                taking.descriptor = self._made(taking)
            except FileNotFoundError:
                # Somebody took the folder away by hand: it is not known to stand any more.
                self._durability.forget_folders()
                taking.descriptor = self._made(taking)
        except BaseException:
            self.roll_back(taking)
            raise
        return taking

    def _made(self, taking: Taking) -> int:
        self._durability.make_folder(self._place.folder(taking.draft.path), below=self._place.root)
        return self._calls.open(taking.content, _CREATE)

    def take(self, taking: Taking, pieces: Sequence[bytes]) -> None:
        """Write what comes next; its digest is the caller's, so that both go on at once. Raises ``ContentDiffers``."""
        start_bytes = taking.size_bytes
        for piece in pieces:
            check_length(taking.draft, taking.size_bytes + len(piece))
            write_all(self._calls, taking.descriptor, piece)
            taking.size_bytes += len(piece)
        if taking.size_bytes - start_bytes >= _WRITEBACK_BYTES:
            self._calls.begin_writeback(taking.descriptor, start_bytes, taking.size_bytes - start_bytes)

    def commit(self, taking: Taking) -> Attributes:
        """Everything behind the last byte. On an error the caller rolls back, which does nothing past the commit point."""
        attributes = self.check(taking.draft, size_bytes=taking.size_bytes, digest=taking.digest)
        self._durability.content(taking.descriptor, taking.content)
        self._close(taking)
        self._move_in(taking)
        try:
            self._put_attributes(attributes, taking)
        except OSError as error:
            if not taking.in_doubt:
                raise
            # Of a disk that is full, even: who hears that gives the file to another element.
            raise ElementUnavailable(
                f"A file may stand in the storage element {self._element_id}, and may not: {error.strerror or error}."
            ) from error
        # All of it was synced, but where? Only what is on the element's own disk may be said to be kept.
        self.check_held()
        taking.committed = True
        self._waiting.committed(taking.intent)
        return attributes

    def check(self, draft: Draft, *, size_bytes: int, digest: "_Hash") -> Attributes:
        """What would be committed. Raises ``ContentDiffers``, and what ``allowed`` raises."""
        self._allowed()
        return made_of(draft, element_id=self._element_id, size_bytes=size_bytes, checksum=digest.hexdigest())

    def _move_in(self, taking: Taking) -> None:
        """The synced bytes to where they belong; those of an upload stay where they are, too, until they are a file: a rename
        from folder to folder may lose one half of it to a power cut, and the bytes with it."""
        source, target = taking.content, self._place.content(taking.draft.path)
        # Said before it is done: where it fails nobody knows on which side of it.
        taking.moved = True
        if taking.intent.kind is Kind.FINISH:
            self.link(source, target)
        else:
            self._calls.rename(source, target)
        self._durability.names(self._place.folder(taking.draft.path))

    def link(self, source: str, target: str) -> None:
        """One more name for ``source``, over what a step that broke off left there."""
        self.remove(target)
        self._calls.link(source, target)

    def roll_back(self, taking: Taking) -> None:
        """As if it had never begun (an upload is open as before); past the commit point nothing. What cannot be taken away
        now is left to recovery."""
        self._close(taking)
        if taking.committed or taking.in_doubt:
            return
        path, file_id = taking.draft.path, taking.draft.file_id
        gone = [self._place.attributes_part(path, file_id)]
        if taking.intent.kind is Kind.WRITE:
            gone.append(taking.content)
        if taking.moved:
            gone.append(self._place.content(path))
        with suppress(OSError, ElementUnavailable):
            self._take_away(gone, path)
            self._journal.end([taking.intent.number])

    def try_to_remove(self, names: Iterable[str]) -> None:
        """Unlink what can be unlinked."""
        for name in names:
            with suppress(OSError):
                self.remove(name)

    def standing(self, draft: Draft) -> Attributes | None:
        """What stands where ``draft`` wants to, when it is the same. Raises ``PathRefused``, ``ContentDiffers``."""
        try:
            stands = self.attributes(draft.path)
        except FileNotThere:
            return None
        if not self.stands(self._place.content(draft.path)):
            raise DamagedFile(f"{draft.path} has attributes and no content: set it aside first.")
        return check_same(draft, stands)

    def attributes(self, path: str) -> Attributes:
        """What stands beside the file. Raises ``FileNotThere``, ``DamagedFile``."""
        try:
            raw = read_all(self._calls, self._place.attributes(path), limit_bytes=ATTRIBUTES_BYTES)
        except (FileNotFoundError, NotADirectoryError) as error:
            self.check_held()
            raise FileNotThere(f"There is no {path} in {self._element_id}.") from error
        return decoded(raw, path=path)

    def open(self, path: str) -> int:
        """A descriptor of the content; the caller closes it. Raises ``FileNotThere`` (content without attributes is nobody's),
        ``DamagedFile`` (attributes without content)."""
        if not self.stands(self._place.attributes(path)):
            self.check_held()
            raise FileNotThere(f"There is no {path} in {self._element_id}.")
        try:
            return self._calls.open(self._place.content(path), os.O_RDONLY)
        except FileNotFoundError as error:
            self.check_held()
            if not self.stands(self._place.attributes(path)):
                # It was deleted between the two looks.
                raise FileNotThere(f"There is no {path} in {self._element_id}.") from error
            raise DamagedFile(f"{path} has attributes and no content.") from error

    def amend(self, attributes: Attributes) -> Attributes:
        """New attributes in the place of the old. Raises ``StaleRevision``, ``Invalid``."""
        stands = self.attributes(attributes.path)
        if stands.revision != attributes.revision - 1:
            raise StaleRevision(current=stands.revision)
        check_amendment(stands, attributes)
        encoded(attributes)
        intent = self._journal.begin(
            Kind.AMEND, file_id=attributes.file_id, path=attributes.path, revision=attributes.revision
        )
        taking = Amending(intent)
        try:
            self._put_attributes(attributes, taking)
            self.check_held()
        except BaseException:
            if not taking.in_doubt:
                with suppress(OSError, ElementUnavailable):
                    self._take_away([self._place.attributes_part(attributes.path, attributes.file_id)], attributes.path)
                    self._journal.end([intent.number])
            raise
        self._waiting.committed(intent)
        return attributes

    def delete(self, path: str) -> None:
        """Attributes, then bytes; what is not there is no error."""
        self.check_held()
        if not (self.stands(self._place.attributes(path)) or self.stands(self._place.content(path))):
            return
        intent = self._journal.begin(Kind.DELETE, file_id="", path=path)
        for name in (self._place.attributes(path), self._place.content(path)):
            if self.remove(name):
                self._durability.names(self._place.folder(path))
        self._journal.end([intent.number, *self._waiting.forget(path)])

    def stands(self, name: str) -> bool:
        """Whether anything has that name."""
        try:
            self._calls.stat(name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _take_away(self, names: Iterable[str], path: str) -> None:
        # Where there was nothing there may be no folder to sync, either.
        if any([self.remove(name) for name in names]):
            self._durability.names(self._place.folder(path))

    def remove(self, name: str) -> bool:
        """Unlink, and say whether it was there."""
        try:
            self._calls.unlink(name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _put_attributes(self, attributes: Attributes, step: "Taking | Amending") -> None:
        path = attributes.path
        part = self._place.attributes_part(path, attributes.file_id)
        descriptor = self._calls.open(part, _CREATE)
        try:
            write_all(self._calls, descriptor, encoded(attributes))
            self._durability.content(descriptor, part)
        finally:
            self._calls.close(descriptor)
        self._allowed()
        try:
            self._calls.rename(part, self._place.attributes(path))
        except OSError:
            step.in_doubt = self._may_stand(path)
            raise
        # From here on only recovery can tell whether it happened, until the folder is synced.
        step.in_doubt = True
        self._durability.names(self._place.folder(path))

    def _may_stand(self, path: str) -> bool:
        try:
            return self.stands(self._place.attributes(path))
        except OSError:
            return True

    def _close(self, taking: Taking) -> None:
        descriptor, taking.descriptor = taking.descriptor, -1
        if descriptor >= 0:
            self._calls.close(descriptor)


class Amending:
    """An amendment on its way."""

    __slots__ = ("in_doubt", "intent")

    def __init__(self, intent: Intent) -> None:
        self.intent = intent
        self.in_doubt = False
