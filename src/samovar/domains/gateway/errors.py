"""What can go wrong with a call besides what the provider says."""

from samovar.kernel.errors import SamovarError


class MadeElsewhere(SamovarError):
    """The call goes on from what another provider keeps or encrypted."""

    code = "made_by_another_provider"
    status = 400
    title = "Only the provider that made it can go on from it"


class BreakerOpen(SamovarError):
    """The target failed again and again, and is left alone for a while."""

    code = "provider_resting"
    status = 503
    title = "The provider is failing and is left alone for a while"
