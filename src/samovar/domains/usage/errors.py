"""How writing and reading usage can fail."""

from samovar.kernel.errors import Invalid, SamovarError


class EventsRefused(SamovarError):
    """The database answers and does not take the rows."""

    code = "usage_refused"
    status = 500
    title = "The usage log does not take events"


class EventsKnown(SamovarError):
    """Some of the rows are there already; nothing of the batch may be committed, for its sums would count them twice."""

    code = "usage_known"
    status = 500
    title = "Events were written before"


class WindowRefused(Invalid):
    """A window of time that is empty, too long for its points, or past what is kept."""

    code = "usage_window"
    title = "This window of time cannot be shown"
