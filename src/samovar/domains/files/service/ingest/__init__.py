"""Taking files in: ``uploading`` a whole one, or in pieces as ``resumable``; each is led as one of the ``transactions``.

Both write within the room that they hold for the owner (``Held``), and end in ``Ingest.settle``: the row, and what it releases.
What comes is read once, through ``noted`` (a whole content) or ``portions`` (a piece), so that whoever leads knows how far it
came. ``arrivals`` keeps it to one request at a time that adds to an upload.
"""

from samovar.domains.files.service.ingest.resumable import Piece, Resumable, UploadRules
from samovar.domains.files.service.ingest.uploading import Ingest, IngestRules

__all__ = ["Ingest", "IngestRules", "Piece", "Resumable", "UploadRules"]
