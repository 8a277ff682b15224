"""Which models exist, who serves them, what they can do and cost, and under which names they may be asked for."""
