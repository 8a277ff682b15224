"""Parts the tests bring themselves: a clock that stands still, and databases made for one run."""
