"""The installation's settings, and the only reader of the environment.

Sources, the first that speaks wins: flags, environment, ``.env``, ``samovar.toml``, the defaults here. Frozen once read.
"""

from samovar.app.settings.fields import NO_LIMIT, Settings, SettingsInvalid
from samovar.app.settings.reading import environment_name, load, unknown_names
from samovar.app.settings.serving import Profile

__all__ = ["NO_LIMIT", "Profile", "Settings", "SettingsInvalid", "environment_name", "load", "unknown_names"]
