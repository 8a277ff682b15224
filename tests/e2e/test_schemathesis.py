"""Invented requests of every operation in the OpenAPI document, against a real Samovar with the sandbox behind it."""

import traceback
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.conftest import ADMIN_TOKEN, Samovar

DEADLINE_MS = 5000
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


FEW = 5
MANY = 40

# Bytes of forms that are ours or tus's: invented as any others.
schemathesis.serializer.alias(
    ["application/vnd.samovar.frames", "application/offset+octet-stream"], "application/octet-stream"
)


def _try(operation: Any, samovar: Samovar, examples: int) -> None:
    """Invent requests of one operation, the same ones at each run. Raises what the checks find."""

    @settings(
        max_examples=examples,
        deadline=DEADLINE_MS,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        body = case.body
        if isinstance(body, dict) and "model" in body and len(str(body)) % 2:
            # Half of the bodies name a model that is there, or all would end at its name.
            body["model"] = "sandbox/echo"
        answer = case.call(
            base_url=samovar.url,
            headers={"X-Admin-Token": ADMIN_TOKEN, "Authorization": f"Bearer {samovar.key}"},
            timeout=DEADLINE_MS / 1000,
        )
        case.validate_response(answer, checks=list(CHECKS))

    run()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.soak)])
def test_no_invented_request_finds_a_defect(bare: Samovar, examples: int) -> None:
    status, document, _ = bare.request("GET", "/openapi.json")
    assert status == 200
    found: dict[str, str] = {}
    results: list[Any] = list(schemathesis.openapi.from_dict(document).get_all_operations())
    operations = [result.ok() for result in results]
    for operation in operations:
        try:
            _try(operation, bare, examples)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # all findings at once, whatever their type
            found[operation.label] = "".join(traceback.format_exception_only(error))
    assert not found, "\n\n".join(f"{label}: {words}" for label, words in found.items())
    assert len(operations) > 20


def test_the_server_is_well_after_all_that(bare: Samovar) -> None:
    assert bare.request("GET", "/ready")[0] == 200
    log = bare.output.read_text()
    assert "unexpected error" not in log, log[-5000:]
    assert "Traceback" not in log, log[-5000:]
