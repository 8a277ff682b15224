"""Backups: made, kept, verified and restored."""

from samovar.domains.operations.service.backups.service import BACKUP_JOB, Backups, BackupSettings, Draft

__all__ = ["BACKUP_JOB", "BackupSettings", "Backups", "Draft"]
