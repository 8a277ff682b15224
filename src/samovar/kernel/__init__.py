"""The words every room shares: ids, money, time, errors, principals, event-stream framing.

Pure: no input or output, no framework, nothing of ours imported. A thing belongs here only if at least two domains
or a port need it and it would mean the same in any program.
"""
