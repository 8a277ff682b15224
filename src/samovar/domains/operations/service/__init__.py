"""Operations' use cases: health."""

from samovar.domains.operations.service.health import FRESH_S, PROBE_TIMEOUT_S, OperationsService

__all__ = ["FRESH_S", "PROBE_TIMEOUT_S", "OperationsService"]
