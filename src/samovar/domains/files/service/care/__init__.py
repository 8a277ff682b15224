"""What looks after files once they are kept: rounds over elements, how long files stay, copies, contents out of archives.

All of it runs as jobs (``jobs.py``) that may run twice, and looks at what stands before it changes anything. *Rounds* are
ordered, kept and told by ``rounds``, and made by ``rebuilding``, ``checking`` and ``scrubbing``. ``retention``, ``replicas``
and ``restoring`` make their copies through ``copying``.
"""

from samovar.domains.files.service.care.care import CareRules, FileCare

__all__ = ["CareRules", "FileCare"]
