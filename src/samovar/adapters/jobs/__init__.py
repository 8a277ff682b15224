"""Jobs in a table of the database, on both engines; the worker that runs them, and the cron that makes them.

Invariants: an attempt is counted before it begins, so a crash in its middle cannot be tried for ever. An outcome is written
only by whoever holds the attempt. A due run of a cron job is enqueued once, whatever number of processes look.
"""
