"""Samovar: one self-hosted service between a team and every AI model it uses."""

from typing import Final

__version__: Final = "0.1.0"
