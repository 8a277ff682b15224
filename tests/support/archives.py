"""A backup written by hand: as another version of Samovar might have made it."""

import gzip
import hashlib
import json
from typing import Any

from samovar.domains.operations.model.archive import Framer


def archive(
    schema: str, master_key_check: str, columns: dict[str, dict[str, str]], rows: dict[str, list[list[Any]]]
) -> bytes:
    """Of revision ``schema``: each table's columns with their kinds, and its rows."""
    tables = [
        {"name": table, "columns": [{"name": name, "kind": kind} for name, kind in kinds.items()]}
        for table, kinds in columns.items()
    ]
    manifest = {
        "format": "samovar-backup",
        "version": 1,
        "samovar": "0.0.1",
        "schema": schema,
        "engine": "sqlite",
        "created_at": "2026-11-01T00:00:00.000Z",
        "master_key_check": master_key_check,
        "tables": tables,
    }
    files = {"manifest.json": json.dumps(manifest).encode()}
    for table, some in rows.items():
        lines = "".join(json.dumps(row) + "\n" for row in some).encode()
        files[f"tables/{table}/000000.jsonl.gz"] = gzip.compress(lines, mtime=0)
    parts = [
        {"name": name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    ]
    counts = {table: len(rows.get(table, [])) for table in columns}
    files["sums.json"] = json.dumps({"rows": counts, "parts": parts}).encode()
    framer = Framer(modified_at=0)
    return b"".join(framer.entry(name, content) for name, content in files.items()) + framer.end()
