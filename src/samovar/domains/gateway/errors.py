"""What can go wrong with a call besides what the provider says."""

from samovar.kernel.errors import SamovarError


class BreakerOpen(SamovarError):
    """The target failed again and again, and is left alone for a while."""

    code = "provider_resting"
    status = 503
    title = "The provider is failing and is left alone for a while"
