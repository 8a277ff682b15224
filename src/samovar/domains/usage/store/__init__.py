"""The usage log's tables: the events, their sums by hour and by day, and the batches that wait to be summed."""
