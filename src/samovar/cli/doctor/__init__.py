"""``samovar doctor``: looks at the set-up and says what to do. It changes nothing and makes nothing.

Each check gives findings: ok, warn or fail, with a remedy. Only providers that are configured are contacted, never more than
5 s each; with none configured nothing but this machine is.
"""

from samovar.cli.doctor.command import examine

__all__ = ["examine"]
