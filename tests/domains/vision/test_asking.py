"""Reading what is asked: base64 however it is cut into lines, forms however they come in, models by provider and name."""

import base64
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.catalog.model import Ability, Model, PriceCard, Provider, Rates, Sheet, Target
from samovar.domains.vision.errors import BadAsk, NoVisionModel
from samovar.domains.vision.http.form import read_multipart
from samovar.domains.vision.model.asking import Encoded, chat_body, check_prompt, given_images, read_ask, read_form
from samovar.domains.vision.model.choosing import (
    fetch_themselves,
    full_name,
    only_seeing,
    require_sight,
    unlisted_name,
    usual_model,
)
from samovar.domains.vision.service.pictures import decoded
from samovar.kernel.errors import BodyTooLarge, Malformed
from samovar.ports.asgi import Message, Receive
from tests.e2e.pictures import form

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def target(
    name: str, *, vendor: str = "", abilities: Sequence[Ability] | None = (Ability.VISION,), **more: Any
) -> Target:
    provider, _, model = name.partition("/")
    price = more.pop("price", None)
    card = None if price is None else PriceCard(sheets=(Sheet(rates=Rates(input=price, output=price)),))
    return Target(
        Provider(
            id=provider, team_id="default", name=provider, vendor=vendor or provider, base_url="https://x.example"
        ),
        Model(
            id=name,
            provider=provider,
            name=model,
            abilities=None if abilities is None else frozenset(abilities),
            price=card,
            **more,
        ),
    )


@given(
    st.binary(max_size=2_000),
    st.integers(1, 90),
    st.sampled_from(["\n", "\r\n", " ", "\t"]),
    st.booleans(),
    st.booleans(),
)
async def test_base64_reads_as_the_bytes_it_was_made_of(
    content: bytes, width: int, blank: str, for_urls: bool, padded: bool
) -> None:
    text = (base64.urlsafe_b64encode if for_urls else base64.b64encode)(content).decode()
    if not padded:
        text = text.rstrip("=")
    lines = blank.join(text[at : at + width] for at in range(0, len(text), width))
    assert await decoded(Encoded(lines, "image_base64")) == content


async def test_long_base64_reads_in_steps_wherever_they_fall() -> None:
    content = bytes(range(256)) * 4_000
    text = base64.b64encode(content).decode()
    for blanks in ("", "\n", "\n\n\n"):
        assert await decoded(Encoded(re.sub("(.{77})", rf"\1{blanks}", text), "x")) == content
    for wrong in (text[:400_000] + "=" + text[400_001:], text[:500_000] + "\u0416" + text[500_001:], text + "AA==AA"):
        with pytest.raises(BadAsk):
            await decoded(Encoded(wrong, "x"))


def received(body: bytes, cuts: Sequence[int]) -> Receive:
    places = sorted({cut % (len(body) + 1) for cut in cuts} | {0, len(body)})
    pieces = [body[start:end] for start, end in pairwise(places)] or [b""]
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = False
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


@given(
    st.lists(st.binary(max_size=300) | st.just(b"\r\n--x\r"), min_size=1, max_size=8),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=50),
    st.lists(st.integers(0, 5_000), max_size=20),
)
async def test_a_form_reads_alike_however_it_comes_in(files: list[bytes], prompt: str, cuts: list[int]) -> None:
    body, kind = form([("prompt", prompt), *(("image", file) for file in files), ("cleanup", "true")], "xyz0123")
    ask, found = await read_multipart(
        received(body, cuts), kind.encode(), declared=None, max_bytes=1_000_000, timeout_s=5
    )
    assert ask.prompt == prompt
    assert ask.cleanup is True
    assert found == files


async def test_a_form_is_read_no_further_than_its_bound() -> None:
    body, kind = form([("image", b"x" * 10_000)])
    read: list[int] = []
    receive = received(body, range(0, len(body), 1_000))

    async def counting() -> Message:
        message = await receive()
        read.append(len(message["body"]))
        return message

    with pytest.raises(BodyTooLarge):
        await read_multipart(counting, kind.encode(), declared=None, max_bytes=3_000, timeout_s=5)
    assert sum(read) <= 4_000
    with pytest.raises(BodyTooLarge):
        await read_multipart(counting, kind.encode(), declared=b"99999", max_bytes=3_000, timeout_s=5)
    assert sum(read) <= 4_000


@given(st.binary(max_size=400))
async def test_no_bytes_of_a_form_do_more_than_be_refused(noise: bytes) -> None:
    with pytest.raises((Malformed, BadAsk)):
        await read_multipart(
            received(b"--x\r\n" + noise, []),
            b"multipart/form-data; boundary=x",
            declared=None,
            max_bytes=999,
            timeout_s=5,
        )


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=20) | st.integers() | st.none(), max_size=6))
def test_no_json_does_more_than_be_refused(body: dict[str, Any]) -> None:
    with suppress(Malformed):
        read_ask(msgspec.json.encode(body))


def test_a_form_s_numbers_and_switches_are_read_from_text() -> None:
    ask = read_form(
        [("max_tokens", "7"), ("temperature", "0.5"), ("cleanup", "1"), ("stream", "false"), ("prompt", "5")]
    )
    assert (ask.max_tokens, ask.temperature, ask.cleanup, ask.stream, ask.prompt) == (7, 0.5, True, False, "5")
    ask = read_form([("variables", '{"n": 3}'), ("params", '{"top_k": 4}'), ("prompt_id", "12")])
    assert (ask.variables, ask.prompt_id) == ({"n": 3}, 12)


@pytest.mark.parametrize("text", ['{"n": 1e999}', '{"n": "\\ud800"}', '{"n": "\\q"}'])
def test_variables_of_a_form_that_cannot_be_read_are_the_caller_s_mistake(text: str) -> None:
    with pytest.raises(Malformed):
        read_form([("variables", text)])


@pytest.mark.parametrize("field", ["prompt_name", "namespace", "lang", "label"])
def test_no_name_with_a_nul_reaches_the_database(field: str) -> None:
    ask = read_ask(msgspec.json.encode({"prompt_name": "cat", field: "a\0b"}))
    with pytest.raises(BadAsk, match=f"{field}: holds a NUL"):
        check_prompt(ask)


def test_pictures_stand_in_the_order_in_which_they_are_given() -> None:
    ask = read_ask(b'{"image_url": "https://a.example/1", "images": ["https://a.example/2", "AAAA"]}')
    found = given_images(ask, [b"file"])
    assert [type(one).__name__ for one in found] == ["Content", "Address", "Address", "Encoded"]
    assert [one.where for one in found] == ["image", "image_url", "images[0]", "images[1]"]


def test_further_parameters_go_to_the_model_and_those_said_plainly_win() -> None:
    ask = read_ask(b'{"params": {"presence_penalty": 0.5, "max_tokens": 1}, "max_tokens": 9, "image_base64": "AA"}')
    body = msgspec.json.decode(chat_body(ask, model="m", prompt="p", images=["data:x"], stream=True))
    assert body["presence_penalty"] == 0.5
    assert body["max_tokens"] == 9
    assert body["stream_options"] == {"include_usage": True}
    assert body["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": "data:x"}}


def test_a_provider_and_its_model_make_one_name() -> None:
    assert full_name("openrouter", "openai/gpt-4o") == "openrouter/openai/gpt-4o"
    assert full_name("bigmodel", "bigmodel/glm-4.5v") == "bigmodel/glm-4.5v"


def test_the_usual_model_is_the_cheapest_of_the_good_that_see() -> None:
    models = [
        target("openai/best", quality=95, price=100),
        target("openai/good", quality=80, price=10),
        target("openai/good:batch", quality=80, price=5),
        target("openai/cheap", quality=20, price=1),
        target("openai/blind", quality=90, price=1, abilities=()),
        target("openai/old", quality=90, price=2, deprecated=True),
        target("other/good", quality=90, price=1),
        target("poor/a", price=3),
        target("poor/b"),
    ]
    assert usual_model(models, "openai", at=NOW) == "openai/good"
    assert usual_model(models, "poor", at=NOW) == "poor/a"
    assert usual_model([target("glm/glm-5", vendor="bigmodel", abilities=())], "glm", at=NOW) == "glm/glm-4.5v"
    for provider in ("nobody", "blind"):
        with pytest.raises(NoVisionModel, match=provider):
            usual_model([*models, target("blind/x", abilities=())], provider, at=NOW)


def test_nobody_is_charged_for_a_model_that_nobody_chose() -> None:
    assert only_seeing([target("sandbox/vision"), target("openai/gpt-3.5", abilities=())]) == "sandbox/vision"
    with pytest.raises(NoVisionModel, match="openai"):
        only_seeing([target("sandbox/vision"), target("openai/gpt-4o")])
    with pytest.raises(NoVisionModel, match="No configured provider"):
        only_seeing([])


def test_a_model_is_refused_only_where_all_behind_its_name_are_known_to_be_blind() -> None:
    blind, seeing, unknown = target("a/b", abilities=()), target("a/c"), target("a/d", abilities=None)
    for targets in ([seeing], [unknown], [blind, unknown], [blind, seeing]):
        require_sight("x", targets)
    with pytest.raises(NoVisionModel):
        require_sight("x", [blind, blind])


def test_a_bare_name_without_a_price_is_its_maker_s_where_that_is_plain() -> None:
    glm, other = target("zhipu/glm-5", vendor="bigmodel"), target("openai/gpt-4o")
    assert unlisted_name("glm-4.5v", [glm, other]) == "zhipu/glm-4.5v"
    assert unlisted_name("glm-4.5v", [glm, target("second/glm-5", vendor="bigmodel")]) is None
    assert unlisted_name("gpt-4o-of-nobody", [glm, other]) is None
    assert unlisted_name("glm-4.5v", [other]) is None


def test_only_vendors_with_a_network_of_their_own_fetch_themselves() -> None:
    assert fetch_themselves([target("openai/a"), target("bigmodel/b")])
    assert not fetch_themselves([target("openai/a"), target("gemini/b")])
    assert not fetch_themselves([target("mine/a", vendor="vllm")])
