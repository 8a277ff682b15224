"""What is asked of vision and what it answers, and how an answer is cleaned. Pure."""
