"""Event streams: read as a vendor's, written as a surface's."""
