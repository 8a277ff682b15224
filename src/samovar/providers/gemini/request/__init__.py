"""A request, read from a caller and written for a vendor."""
