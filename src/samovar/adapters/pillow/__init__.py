"""Preparation of images with Pillow, in worker processes that are bounded, cheap to lose and know no secret (ADR 0005)."""

from samovar.adapters.pillow.pool import PillowImages

__all__ = ["PillowImages"]
