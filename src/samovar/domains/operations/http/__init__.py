"""Operations over HTTP: ``health`` (with metrics, about and the documentation page), ``jobs`` and ``backups``."""
