"""Money and limits over HTTP."""
