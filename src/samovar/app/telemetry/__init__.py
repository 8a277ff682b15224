"""Being seen: logs, metrics, traces. Domains know nothing of it; they emit events, and this room listens."""
