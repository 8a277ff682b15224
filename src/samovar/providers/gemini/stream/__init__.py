"""A stream, read from a vendor and written for a caller."""
