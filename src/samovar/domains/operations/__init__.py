"""Whether the installation is well, and what it is: health, readiness, about."""
