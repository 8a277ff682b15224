"""All SQL of operations. Functions take the open transaction first.

Backups are the exception to "filter by team first": one is of the whole installation, and only its administrators make it.
"""
