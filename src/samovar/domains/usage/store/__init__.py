"""The usage log's tables: the events, and their sums by hour and by day."""
