"""Usage is believed where it can be true, and estimated where it cannot."""

from datetime import UTC, datetime

import pytest

from samovar.domains.gateway.model import Call
from samovar.domains.gateway.service.estimate import settled
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.dialect import Head
from samovar.ports.llm import Usage
from samovar.providers.openai import OpenAIChat

BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"tea " * 40 + b'"}]}'
CALL = Call(
    id="call_1",
    request_id="call_1",
    principal=Principal(
        id="key_1", kind=PrincipalKind.KEY, team_id="default", name="k", permissions=frozenset({"gateway:call"})
    ),
    surface=OpenAIChat(),
    head=Head(model="m"),
    body=BODY,
    started=0.0,
    started_at=datetime(2026, 11, 21, tzinfo=UTC),
)
TRUE = Usage(input_tokens=12, output_tokens=7)


def test_usage_that_can_be_true_is_believed() -> None:
    assert settled(TRUE, call=CALL, output_chars=4000, ended=True) is TRUE


def test_a_call_without_an_answer_of_tokens_is_believed() -> None:
    vectors = Usage(input_tokens=3)
    assert settled(vectors, call=CALL, output_chars=0, ended=True) is vectors


@pytest.mark.parametrize(
    "said",
    [
        None,
        Usage(),
        Usage(input_tokens=-5, output_tokens=-5),
        Usage(input_tokens=10**15, output_tokens=1),
        Usage(input_tokens=1, output_tokens=10**400),
    ],
)
def test_usage_that_says_nothing_or_nonsense_is_estimated(said: Usage | None) -> None:
    usage = settled(said, call=CALL, output_chars=400, ended=True)
    assert usage.estimated
    assert (usage.input_tokens, usage.output_tokens) == (40, 100)


def test_an_answer_that_is_said_to_have_cost_no_token_is_estimated() -> None:
    usage = settled(Usage(input_tokens=12), call=CALL, output_chars=400, ended=True)
    assert (usage.estimated, usage.input_tokens, usage.output_tokens) == (True, 12, 100)


def test_money_is_held_for_the_larger_of_two_bounds() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_completion_tokens":1,"max_tokens":900}'
    assert OpenAIChat().read_head(body).max_output_tokens == 900
