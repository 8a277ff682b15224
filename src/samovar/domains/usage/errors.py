"""How writing usage can fail."""

from samovar.kernel.errors import SamovarError


class EventsRefused(SamovarError):
    """The database answers and does not take the rows."""

    code = "usage_refused"
    status = 500
    title = "The usage log does not take events"
