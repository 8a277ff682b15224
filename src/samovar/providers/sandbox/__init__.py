"""The sandbox: a real HTTP server that speaks the vendors' wire formats, for trying, testing and benchmarking without keys.

Deterministic: the same request gives the same answer, ids and usage included; only what a caller asks for (``flaky``) or what
vendors remember too (the prompt cache) depends on earlier requests. Independent: nothing here uses our own clients of these
formats, so that agreement between the two means something. Bounded in everything. A new wire format is one more file that
meets :class:`Surface`, or :class:`Calculation` where no model talks. ``docs/sandbox.md`` is its manual.
"""

from samovar.providers.sandbox.journal import Keeping
from samovar.providers.sandbox.limits import Limits
from samovar.providers.sandbox.server import Address, SandboxServer
from samovar.providers.sandbox.surface import Calculation, Surface
from samovar.providers.sandbox.wish import Fault, Pace

__all__ = ["Address", "Calculation", "Fault", "Keeping", "Limits", "Pace", "SandboxServer", "Surface"]
