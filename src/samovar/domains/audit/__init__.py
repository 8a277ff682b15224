"""The record of every critical action, in one chain for the whole installation.

Each record's signature is the SHA-256 of the one before and of its own canonical text, so that none can be changed, taken
out or moved without every later one showing it; checkpoints signed with Ed25519 say where the chain stood, and are worth
most where they are kept elsewhere. A record is acknowledged when it is committed. Records are never changed, and
pruned only where a retention says so: then a signed anchor says after which record the chain begins. `docs/audit.md` tells the
form; `model` alone can verify an export, without database or server.
"""
