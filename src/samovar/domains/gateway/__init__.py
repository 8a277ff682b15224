"""One call from a caller's dialect to a provider and back: plan, attempts, time limits, outcome. No database on the way."""
