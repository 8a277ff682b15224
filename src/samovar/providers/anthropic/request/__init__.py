"""Requests: read as a surface, written as a vendor's language."""
