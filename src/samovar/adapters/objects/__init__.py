"""Folders and buckets over obstore: ``file:``, ``s3:``, ``gs:`` and ``az:`` addresses."""

from samovar.adapters.objects.blobs import ObjectBlobs, S3Access, checked_url

__all__ = ["ObjectBlobs", "S3Access", "checked_url"]
