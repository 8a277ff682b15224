"""What was used: one event for each gateway call, written in batches off the path of the call, none lost on an orderly stop."""
