"""The installation's master key: from a setting, else from a file in the data directory."""

from pathlib import Path

from samovar.adapters.aesgcm import load_or_make_master_key, parse_master_key
from samovar.app.settings import Settings


def master_key_file(settings: Settings) -> Path:
    """Where it stands if no setting gives it."""
    return settings.data_dir / "master.key"


def master_key(settings: Settings) -> bytes:
    """The one there is; where there is none, one is made and kept. Raises ``BadMasterKey``."""
    if settings.master_key is not None:
        return parse_master_key(settings.master_key.get_secret_value())
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return load_or_make_master_key(master_key_file(settings))
