"""Backups: made, kept, verified and restored."""

from samovar.domains.operations.service.backups.service import Backups, BackupSettings, Draft

__all__ = ["BackupSettings", "Backups", "Draft"]
