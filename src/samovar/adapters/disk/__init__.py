"""A storage element in one folder of a disk.

A file is there from the moment that its ``*.attr.json`` has its name, durably; whatever stops the machine before leaves nothing,
and whatever stops it after leaves all. All calls to the operating system go through ``Syscalls`` and run in the element's own
threads. One process at a time has the folder.
"""

from samovar.adapters.disk.element import DiskElement
from samovar.adapters.disk.state import is_begun
from samovar.adapters.disk.syscalls import Stat, Syscalls

__all__ = ["DiskElement", "Stat", "Syscalls", "is_begun"]
