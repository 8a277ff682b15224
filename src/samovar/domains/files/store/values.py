"""What stands in the rows of a file, by the names of their columns. Pure."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from samovar.domains.files.model.query import custom_text, searched
from samovar.domains.files.model.records import CopyState
from samovar.ports.elements import Attributes

_MAX_MARK_CHARS: Final = 400


def mark_of_tag(tag: str) -> str:
    """What a tag is looked up by."""
    return f"#{tag}"


def mark_of_custom(key: str, value: str) -> str:
    """What a custom attribute with its value (as :func:`custom_text`) is looked up by."""
    return f"{key}={value}"[:_MAX_MARK_CHARS]


def marks_of(one: Attributes, number: int) -> Iterable[dict[str, Any]]:
    """The rows that a file is looked up by."""
    found = [mark_of_tag(tag) for tag in one.tags]
    found += [mark_of_custom(key, custom_text(value)) for key, value in one.custom.items()]
    return [{"team_id": one.team_id, "mark": mark, "number": number} for mark in dict.fromkeys(found)]


def values_of(one: Attributes, number: int) -> dict[str, Any]:
    """The row of a file under its number."""
    return {
        "number": number,
        "team_id": one.team_id,
        "file_id": one.file_id,
        "owner": one.owner,
        "content_type": one.content_type,
        "size_bytes": one.size_bytes,
        "checksum": one.checksum,
        "element_id": one.storage_element_id,
        "retention": one.retention.kind.value,
        "created_at": one.created_at,
        "expires_at": one.retention.expires_at,
        "revision": one.revision,
        "path": one.path,
        "filename": one.filename,
        "tags": list(one.tags),
        "custom": one.custom,
        "provenance": None if one.provenance is None else msgspec.to_builtins(one.provenance),
        "stems": searched(one.filename, one.tags, one.custom),
        "replicas": one.replicas,
    }


def copy_values_of(one: Attributes) -> dict[str, Any]:
    """The row of the copy that has these attributes beside it."""
    return {
        "file_id": one.file_id,
        "element_id": one.storage_element_id,
        "team_id": one.team_id,
        "path": one.path,
        "state": CopyState.GOOD.value,
        "size_bytes": one.size_bytes,
        "checked_at": None,
        "expires_at": one.retention.expires_at if one.replica_of else None,
    }
