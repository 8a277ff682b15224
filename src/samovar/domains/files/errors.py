"""How keeping files can fail, beside what elements say themselves."""

from collections.abc import Sequence

from samovar.kernel.errors import Conflict, Flaw, Forbidden, Invalid, Malformed, NotFound, SamovarError, Unavailable
from samovar.ports.elements import ElementUnavailable


class FileUnknown(NotFound):
    """No such file, or none that this caller may see."""

    code = "file_not_found"
    title = "No such file"


class ElementUnknown(NotFound):
    """No such storage element."""

    code = "element_not_found"
    title = "No such storage element"


class ElementLost(ElementUnavailable):
    """The element is known not to come back: what stood there is made anew elsewhere, or is gone."""


class ElementOutOfReach(ElementUnavailable):
    """This process has no way to the element, however well that is: its settings, or the element's address, have to change."""


class LinkUnknown(NotFound):
    """No such link of this file."""

    code = "link_not_found"
    title = "No such link"


class ChangeUnknown(NotFound):
    """No such change of this file waits or waited, or none that this caller may see."""

    code = "file_change_not_found"
    title = "No such change"


class LinkRefused(Forbidden):
    """The link is over, was revoked, or is not of this file."""

    code = "link_refused"
    title = "The link does not open this"


class BadFile(Invalid):
    """Something said of a file breaks a rule; ``flaws`` names each."""

    code = "bad_file"
    title = "Not a file that can be kept"

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("; ".join(f"{flaw.where}: {flaw.what}" for flaw in flaws[:5]), flaws=flaws)


class BadForm(Malformed):
    """An upload that cannot be read."""

    code = "bad_upload"
    title = "The upload cannot be read"


class BadElement(Invalid):
    """Something said of a storage element breaks a rule."""

    code = "bad_element"
    title = "Not an element that can be registered"


class ElementTaken(Conflict):
    """There is an element of this name."""

    code = "element_exists"
    title = "The element exists"


class NotConfirmed(Conflict):
    """A step that cannot be taken back was not confirmed."""

    code = "not_confirmed"
    title = "Say that you mean it"


class NoElement(Unavailable):
    """No element takes this file now."""

    code = "no_storage_element"
    title = "No storage takes the file"


class StorageFull(SamovarError):
    """The elements that would take it have no room for it."""

    code = "storage_full"
    status = 507
    title = "The storage is full"


class QuotaReached(SamovarError):
    """The owner has as much as may be."""

    code = "file_quota_reached"
    status = 507
    title = "The owner's room is used up"


class ContentAway(Unavailable):
    """The file is known; the element that holds its content does not answer."""

    code = "content_unavailable"
    title = "The content cannot be read now"


class ContentCold(Conflict):
    """The element is an archive: attributes are served, the content is not. ``restore`` is the route that brings it back."""

    code = "content_cold"
    title = "The content is in the archive"

    def __init__(self, file_id: str) -> None:
        path = f"/api/files/{file_id}/restore"
        super().__init__(
            f"Ask for it with POST {path}: it is copied to where it is read.",
            headers={"Link": f'<{path}>; rel="restore"'},
            hints={"restore": f"POST {path}"},
        )


class ContentDamaged(Conflict):
    """No copy of the content is what it was when it was written; the row says so."""

    code = "content_damaged"
    title = "The content is damaged"


class RangeBeyond(SamovarError):
    """No byte of the file lies in the range (RFC 9110, 15.5.17)."""

    code = "range_not_satisfiable"
    status = 416
    title = "Nothing lies in that range"


class UploadUnknown(NotFound):
    """No such upload, or none that this caller may add to."""

    code = "upload_not_found"
    title = "No such upload"


class UploadGone(SamovarError):
    """The upload was over, or given up, before its end came."""

    code = "upload_gone"
    status = 410
    title = "The upload is over"


class UploadBusy(Conflict):
    """Another request adds to the upload just now."""

    code = "upload_busy"
    title = "The upload is being added to"


class UploadInterrupted(Conflict):
    """Another request wanted to know where the upload stands."""

    code = "upload_interrupted"
    title = "The upload was interrupted"


class PieceDiffers(SamovarError):
    """The bytes of a piece are not those that were announced (tus 1.0, *Checksum*); nothing of it stays."""

    code = "checksum_mismatch"
    status = 460
    title = "The checksum is another one"


class WrongProtocol(SamovarError):
    """A client of another version of tus."""

    code = "tus_version"
    status = 412
    title = "Another version of the protocol"


class TransactionUnknown(NotFound):
    """No such transaction, or none that this caller may see."""

    code = "transaction_not_found"
    title = "No such transaction"


class TransactionCancelled(Conflict):
    """Somebody took the upload back while it was under way; nothing of it stays."""

    code = "transaction_cancelled"
    title = "The upload was cancelled"


class TransactionLost(Unavailable):
    """The process that led the upload could not say in time that it still does: another one ends it."""

    code = "transaction_lost"
    title = "The upload is led by another process"
