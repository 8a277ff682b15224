"""Files' use cases. Files come in by ``ingest``, whole or in pieces, each led as one of the ``transactions``; they are found and
read by ``query``, ``reading``, ``thumbnails`` and ``links``, changed by ``changes``, and looked after by ``care``. ``elements``
administers the ``registry``, which ``discovery`` tells the processes of.

Beside them what keeps it true: ``projecting`` (rows), ``confirming`` (rows that are old), ``telling`` (news), ``memory``.
"""

from samovar.domains.files.service.care import CareRules, FileCare
from samovar.domains.files.service.care.later import Change, WaitingChanges
from samovar.domains.files.service.changes import Amendment, FileChanges
from samovar.domains.files.service.elements import ElementAdmin, ElementChange, NewElement
from samovar.domains.files.service.files import FileService
from samovar.domains.files.service.ingest import Ingest, IngestRules
from samovar.domains.files.service.links import FileLinks
from samovar.domains.files.service.query import FileReads
from samovar.domains.files.service.reading import Part, Reading
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.tally import FileFigures
from samovar.domains.files.service.thumbnails import Thumbnails

__all__ = [
    "Amendment",
    "CareRules",
    "Change",
    "ElementAdmin",
    "ElementChange",
    "FileCare",
    "FileChanges",
    "FileFigures",
    "FileLinks",
    "FileReads",
    "FileService",
    "Ingest",
    "IngestRules",
    "NewElement",
    "Part",
    "Reading",
    "Registry",
    "Thumbnails",
    "WaitingChanges",
]
