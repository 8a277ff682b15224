"""Streams that are translated: a vendor's events read, a caller's events written."""
