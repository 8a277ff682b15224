"""What an upload says of its file in fields: parts of a form, or parameters of the address."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from samovar.domains.files.errors import BadFile, BadForm
from samovar.domains.files.model.rules import Intent, checked
from samovar.kernel.errors import Flaw
from samovar.ports.elements import Custom, Provenance, RetentionKind

BEFORE_THE_FILE: Final = frozenset({"retention", "ttl_days", "replicas", "checksum", "size_bytes"})
"""They decide where a file goes and whether it is taken: to be said before its bytes."""
MAX_FIELD_BYTES: Final = 64 * 1024


class Fields:
    """Those that were said so far. ``checksum`` and ``size_bytes`` are of the next file alone."""

    def __init__(self, said: Iterable[tuple[str, str]] = ()) -> None:
        self.values: dict[str, Any] = {}
        for name, text in said:
            self.say(name, text)

    def say(self, name: str, text: str) -> None:
        """One more. Raises :class:`BadFile` for one that cannot be read, or that there is not."""
        reader = READERS.get(name.removesuffix("[]"))
        if reader is None:
            raise BadFile([Flaw(name[:100], f"is no field; there are file, {', '.join(READERS)}")])
        try:
            reader(self.values, text)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise BadFile([Flaw(name[:100], f"cannot be read: {str(error)[:200]}")]) from error

    def intent(self, *, filename: str, content_type: str, length_bytes: int | None = None) -> Intent:
        """The intent for the next file."""
        values = dict(self.values)
        self.values.pop("checksum", None)
        expected = self.values.pop("size_bytes", length_bytes)
        return Intent(
            filename=filename,
            content_type=content_type,
            tags=values.get("tags", ()),
            custom=values.get("attributes", {}),
            retention=values.get("retention", RetentionKind.TEMPORARY),
            ttl_days=values.get("ttl_days"),
            replicas=values.get("replicas"),
            provenance=values.get("provenance"),
            expected_checksum=values.get("checksum"),
            expected_bytes=expected,
        )


class LateFields(Fields):
    """Those that came after their file's bytes, and before its end is told. ``intent`` is the file's."""

    def __init__(self, intent: Intent) -> None:
        super().__init__()
        self._intent = intent
        self.values["tags"] = ()

    @property
    def said(self) -> bool:
        """Whether there was any."""
        return bool(self.values["tags"]) or len(self.values) > 1

    def say(self, name: str, text: str) -> None:
        """One more. Raises :class:`BadForm` for what has to come before."""
        if name in BEFORE_THE_FILE:
            raise BadForm(f"The field {name!r} came after its file: send it before.")
        super().say(name, text)

    def check(self) -> Intent:
        """The file's intent with them. Raises :class:`BadFile`."""
        more = self.values
        return checked(
            msgspec.structs.replace(
                self._intent,
                tags=(*self._intent.tags, *more["tags"]),
                custom={**self._intent.custom, **more.get("attributes", {})},
                provenance=more.get("provenance", self._intent.provenance),
            )
        )


def _tags(values: dict[str, Any], text: str) -> None:
    """A tag, several with commas between, or a list in JSON; the field may come again."""
    if text.lstrip().startswith("["):
        found = msgspec.json.decode(text, type=tuple[str, ...])
    else:
        found = tuple(tag.strip() for tag in text.split(",") if tag.strip())
    values["tags"] = (*values.get("tags", ()), *found)


def _attributes(values: dict[str, Any], text: str) -> None:
    values["attributes"] = {**values.get("attributes", {}), **msgspec.json.decode(text, type=Custom)}


def _retention(values: dict[str, Any], text: str) -> None:
    try:
        values["retention"] = RetentionKind(text.strip())
    except ValueError as error:
        raise ValueError("is temporary or permanent") from error


def _whole(name: str) -> Callable[[dict[str, Any], str], None]:
    def read(values: dict[str, Any], text: str) -> None:
        text = text.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise ValueError("is a whole number")
        values[name] = int(text)

    return read


def _checksum(values: dict[str, Any], text: str) -> None:
    values["checksum"] = text.strip().lower().removeprefix("sha256:")


def _provenance(values: dict[str, Any], text: str) -> None:
    values["provenance"] = msgspec.json.decode(text, type=Provenance)


READERS: Final[Mapping[str, Callable[[dict[str, Any], str], None]]] = MappingProxyType(
    {
        "tags": _tags,
        "attributes": _attributes,
        "retention": _retention,
        "ttl_days": _whole("ttl_days"),
        "replicas": _whole("replicas"),
        "checksum": _checksum,
        "size_bytes": _whole("size_bytes"),
        "provenance": _provenance,
    }
)
