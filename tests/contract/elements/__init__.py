"""Storage elements: one suite over all of them, a model, and what a power cut leaves."""
