"""Secrets sealed with AES-256-GCM, and the master key they are sealed under."""

from samovar.adapters.aesgcm.box import AesGcmBox
from samovar.adapters.aesgcm.master_key import (
    BadMasterKey,
    load_or_make_master_key,
    parse_master_key,
)

__all__ = ["AesGcmBox", "BadMasterKey", "load_or_make_master_key", "parse_master_key"]
