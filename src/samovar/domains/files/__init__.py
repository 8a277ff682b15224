"""Files that survive: what is uploaded, made or exported, on storage elements.

A file is what its element says it is (``*.attr.json``, see :mod:`samovar.ports.elements`); the row here is a projection of
that, made again as often as it takes, and may be thrown away. A durable file is never undone because its row, or the news of
it, failed. An element is the authority for its own mode; permissions and modes are never remembered.

A file belongs to a team and an owner. Who else asks for it is told that there is none.
"""
