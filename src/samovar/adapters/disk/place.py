"""Where things stand below an element's root. All that is ours, and not a file of somebody's, stands in one hidden folder; a
temporary file stands in the folder of its target, so that renaming it is never a copy."""

import hashlib
from typing import Final

from samovar.ports.element_rules import ATTRIBUTES_SUFFIX

HIDDEN: Final = ".element"
PART_SUFFIX: Final = ".part"


class Place:
    """Names only; nothing is looked at."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.hidden = f"{root}/{HIDDEN}"
        self.journal = f"{self.hidden}/wal"
        self.uploads = f"{self.hidden}/uploads"
        self.aside = f"{self.hidden}/quarantine"
        self.lock = f"{self.hidden}/lock"
        self.state = f"{self.hidden}/element.json"

    def content(self, path: str) -> str:
        """A file's bytes."""
        return f"{self.root}/{path}"

    def attributes(self, path: str) -> str:
        """What says what they are."""
        return f"{self.root}/{path}{ATTRIBUTES_SUFFIX}"

    def folder(self, path: str) -> str:
        """Where both stand."""
        return self.content(path).rpartition("/")[0]

    def content_part(self, path: str, file_id: str) -> str:
        """The bytes until they are all there."""
        return f"{self.folder(path)}/.{file_id}{PART_SUFFIX}"

    def attributes_part(self, path: str, file_id: str) -> str:
        """The attributes until they are all there."""
        return f"{self.folder(path)}/.{file_id}{ATTRIBUTES_SUFFIX}{PART_SUFFIX}"

    def upload_draft(self, file_id: str) -> str:
        """What an open upload is to become: it is open while this stands."""
        return f"{self.uploads}/{file_id}.json"

    def upload_content(self, file_id: str) -> str:
        """What has arrived of it, and perhaps more."""
        return f"{self.uploads}/{file_id}.data"

    def upload_offset(self, file_id: str) -> str:
        """How much of that is known to be whole."""
        return f"{self.uploads}/{file_id}.offset"

    def set_aside(self, path: str, *, number: int) -> str:
        """A folder of its own for each time that a file is set aside."""
        return f"{self.aside}/{number}-{hashlib.sha256(path.encode()).hexdigest()[:16]}"
