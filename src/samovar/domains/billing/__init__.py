"""What a call costs. Amounts are whole nano-dollars, rounded once, from a price card that is kept with the charge."""
