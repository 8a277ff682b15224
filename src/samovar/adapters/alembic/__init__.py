"""The database's schema, brought up to date by one linear stream of revisions that runs on both engines.

A revision is a file ``NNNN_what_it_does.py`` whose id is its number, so the newest is known without importing Alembic
(which takes longer than everything else at start). All that is missing runs in one transaction under one lock: of
several processes that start at once one migrates, the others wait and find it done; what fails leaves nothing behind.
"""

from samovar.adapters.alembic.stream import (
    MigrationFailed,
    SchemaTooNew,
    current,
    draft,
    head,
    migrate,
    rebuilding,
    scripts_folder,
)

__all__ = ["MigrationFailed", "SchemaTooNew", "current", "draft", "head", "migrate", "rebuilding", "scripts_folder"]
