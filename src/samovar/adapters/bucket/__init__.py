"""A storage element in a bucket: ``s3:``, ``gs:`` and ``az:`` addresses.

Content goes up first, in parts that are nothing until the last call; a conditional PUT of its ``*.attr.json``, which succeeds
once and for one writer, is the commit point. Several processes may have the same bucket.
"""

from samovar.adapters.bucket.element import BucketElement

__all__ = ["BucketElement"]
