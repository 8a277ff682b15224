"""Vision as users call it: JSON and forms, whole and streamed, against the sandbox as the vendors."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.calling import event_of
from tests.e2e.conftest import Running, Samovar, start_samovar
from tests.e2e.pictures import ANALYZE, STREAM, ask, base64_of, chunks_of, form, picture, words_of

SANDBOX = {"model": "sandbox/vision", "prompt": "What is it?"}


def test_a_picture_in_base64_is_looked_at_and_the_answer_says_what_it_cost(samovar: Samovar) -> None:
    status, said, headers = ask(samovar, {**SANDBOX, "image_base64": base64_of(picture())})
    assert status == 200, said
    assert "32 x 24 pixels" in said["text"]
    assert "red" in said["text"]
    assert said["model"] == "sandbox/vision"
    assert said["provider"] == "sandbox"
    assert said["finish_reason"] == "stop"
    assert said["cleanup_applied"] is False
    assert said["usage"]["prompt_tokens"] > 0
    assert said["cost_credits"] == headers["x-samovar-cost-credits"]
    assert float(said["cost_credits"]) > 0
    assert "prompt_id" not in said


def test_a_stream_is_openais_chunks_with_usage_and_cost_in_the_last(samovar: Samovar) -> None:
    asked = {**SANDBOX, "image_base64": base64_of(picture())}
    status, text, headers = ask(samovar, asked, STREAM)
    assert status == 200, text
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-accel-buffering"] == "no"
    chunks = chunks_of(text)
    assert "32 x 24 pixels" in words_of(chunks)
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert float(chunks[-1]["samovar"]["cost_credits"]) > 0
    assert chunks[-1]["samovar"]["provider"] == "sandbox"
    again, as_well, _ = ask(samovar, {**asked, "stream": True})
    assert again == 200
    assert words_of(chunks_of(as_well)) == words_of(chunks)


@pytest.mark.parametrize("wrapped", ["data:image/jpeg;base64,{}", " {} ", "data:;base64,\n{}", "{}"])
def test_base64_is_taken_as_people_write_it(samovar: Samovar, wrapped: str) -> None:
    text = re.sub("(.{40})", "\\1\r\n", base64_of(picture()))
    status, said, _ = ask(samovar, {**SANDBOX, "image_base64": wrapped.format(text)})
    assert status == 200, said
    assert "PNG, 32 x 24" in said["text"]


def test_a_form_takes_several_pictures_and_fields_as_text(samovar: Samovar) -> None:
    body, kind = form(
        [
            ("prompt", "Сравни"),
            ("model", "sandbox/vision"),
            ("max_tokens", "500"),
            ("params", '{"presence_penalty": 0.5}'),
            ("image", picture("blue")),
            ("image", picture("green", (10, 20), "JPEG")),
        ]
    )
    status, said, _ = ask(samovar, body, **{"Content-Type": kind})
    assert status == 200, said
    assert "Image 1: PNG, 32 x 24" in said["text"]
    assert "Image 2: JPEG, 10 x 20" in said["text"]
    status, text, _ = ask(samovar, body, STREAM, **{"Content-Type": kind})
    assert status == 200
    assert words_of(chunks_of(text)) == said["text"]


def test_pictures_in_a_list_are_base64_data_urls_or_objects(samovar: Samovar) -> None:
    one = base64_of(picture())
    images = [one, f"data:image/png;base64,{one}", {"image_base64": one}, {"image_url": f"data:image/png;base64,{one}"}]
    status, said, _ = ask(samovar, {**SANDBOX, "images": images, "image_base64": one})
    assert status == 200, said
    assert said["text"].count("32 x 24 pixels") == 5


def test_json_is_taken_whatever_the_content_type(samovar: Samovar) -> None:
    body = json.dumps({**SANDBOX, "image_base64": base64_of(picture())}).encode()
    for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
        status, said, _ = ask(samovar, body, **{"Content-Type": kind})
        assert status == 200, said


def test_where_a_photo_was_taken_does_not_leave_the_house(samovar: Samovar) -> None:
    import io

    from PIL import Image

    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Zenit", 6
    exif.get_ifd(0x8825)[1] = "N"
    Image.new("RGB", (40, 20), "red").save(out, "JPEG", exif=exif)
    status, said, _ = ask(samovar, {**SANDBOX, "image_base64": base64_of(out.getvalue())})
    assert status == 200, said
    assert "20 x 40 pixels" in said["text"], "it was not turned upright"
    assert "EXIF: none" in said["text"]


@pytest.mark.parametrize("provider", ["bigmodel", "openrouter", "openai", "anthropic", "gemini", "xai"])
def test_every_provider_sees_the_picture_and_named_alone_chooses_a_model(samovar: Samovar, provider: str) -> None:
    asked: dict[str, Any] = {"provider": provider, "prompt": "What?", "image_base64": base64_of(picture())}
    if provider == "openrouter":
        asked["model"] = "openai/gpt-4o-mini"
    status, said, headers = ask(samovar, asked)
    assert status == 200, said
    assert "32 x 24 pixels" in said["text"]
    assert said["provider"] == provider
    assert said["model"].startswith(f"{provider}/")
    assert headers["x-samovar-model"] == said["model"]


def test_an_address_goes_to_a_vendor_that_fetches_it_itself(samovar: Samovar) -> None:
    asked = {"provider": "openai", "model": "gpt-4o", "prompt": "What?", "image_url": "https://example.com/cat.jpg"}
    status, said, _ = ask(samovar, asked)
    assert status == 200, said
    assert "https://example.com/cat.jpg was not fetched" in said["text"]


def test_a_call_is_accounted_for_as_vision(samovar: Samovar) -> None:
    request_id = "vision-accounted"
    status, _, headers = ask(samovar, {**SANDBOX, "image_base64": base64_of(picture())}, **{"X-Request-Id": request_id})
    assert status == 200
    row = event_of(samovar, request_id)
    assert row["surface"] == "vision"
    assert row["status"] == "ok"
    assert row["model"] == "sandbox/vision"
    assert headers["x-request-id"] == request_id


def test_cleanup_takes_the_systems_lines_out_whole_and_streamed(samovar: Samovar) -> None:
    # The sandbox says nothing that begins with System; another pattern finds what it says.
    status, before, _ = samovar.request("GET", "/admin/config/regex")
    assert (status, before["source"]) == (200, "default")
    assert before["pattern"] == "^(?:System|Meta|Debug).*$"
    assert before["flags"] == "gmi"
    status, set_, headers = samovar.request("PUT", "/admin/config/regex", {"pattern": "^image 1.*$", "flags": "gmi"})
    assert (status, set_["source"], set_["revision"], headers["etag"]) == (200, "database", 1, '"1"')
    try:
        asked = {**SANDBOX, "images": [base64_of(picture()), base64_of(picture("blue"))], "cleanup": True}
        status, said, _ = ask(samovar, asked)
        assert status == 200, said
        assert said["cleanup_applied"] is True
        assert "Image 1" not in said["text"]
        assert "Image 2" in said["text"]
        for pace in ("", "[[chunks:7]]"):
            status, text, _ = ask(samovar, {**asked, "prompt": f"What? {pace}"}, STREAM)
            assert words_of(chunks_of(text)) == said["text"]
        _, about, _ = samovar.request("GET", "/about")
        found = about["config"]["regex_cleanup"]
        assert found == {"pattern": "^image 1.*$", "flags": "gmi", "source": "database"}
        status, stale, _ = samovar.request("PUT", "/admin/config/regex", {"pattern": "x"}, {"If-Match": '"7"'})
        assert (status, stale["code"]) == (412, "stale_revision")
    finally:
        status, after, _ = samovar.request("DELETE", "/admin/config/regex")
    assert (status, after["source"]) == (200, "default")
    _, about, _ = samovar.request("GET", "/about")
    assert about["config"]["regex_cleanup"]["source"] == "default"
    assert "POST /v1/vision/analyze" in about["routes"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"pattern": r"(a)\1"}, "escape"),
        ({"pattern": "(?<=System)x"}, "operator"),
        ({"pattern": "(((a{100}){100}){100})"}, "repetition"),
        ({"pattern": "a", "flags": "gx"}, "flags"),
        ({"pattern": ""}, "pattern"),
        ({}, "pattern"),
        ({"pattern": "a", "colour": 1}, "colour"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_the_reason(
    samovar: Samovar, body: dict[str, Any], why: str
) -> None:
    status, refused, headers = samovar.request("PUT", "/admin/config/regex", body)
    assert status == 422
    assert why in refused["detail"]
    assert headers["content-type"] == "application/problem+json"


def test_only_who_may_configure_sets_the_pattern(samovar: Samovar) -> None:
    call = urllib.request.Request(  # noqa: S310
        f"{samovar.url}/admin/config/regex",
        b'{"pattern": "x"}',
        {"Authorization": f"Bearer {samovar.key}"},
        method="PUT",
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(call, timeout=30)  # noqa: S310
    with raised.value as answer:
        status, refused = answer.code, json.load(answer)
    assert (status, refused["code"]) == (403, "forbidden")


def test_an_idempotency_key_pays_once_for_json_and_forms(samovar: Samovar) -> None:
    body = {**SANDBOX, "image_base64": base64_of(picture())}
    fields = [("prompt", "What?"), ("model", "sandbox/vision"), ("image", picture())]
    for name, bodies in (
        ("json", [(json.dumps(body).encode(), "application/json")] * 2),
        ("form", [form(fields), form(fields)]),
    ):
        answers = [
            ask(samovar, each, **{"Content-Type": kind, "Idempotency-Key": f"vision-{name}"}) for each, kind in bodies
        ]
        assert [status for status, _, _ in answers] == [200, 200]
        assert answers[0][1] == answers[1][1]
        assert answers[1][2]["idempotent-replayed"] == "true"
    other, kind = form([*fields[:2], ("image", picture("blue"))])
    status, refused, _ = ask(samovar, other, **{"Content-Type": kind, "Idempotency-Key": "vision-form"})
    assert (status, refused["code"]) == (422, "idempotency_key_reused")


def test_a_key_s_wallet_pays_and_a_spent_one_is_refused_as_a_problem(samovar: Samovar) -> None:
    _, wallet, _ = samovar.request("POST", "/api/wallets", {"name": "vision", "credits": "0"})
    _, made, _ = samovar.request("POST", "/api/keys", {"name": "poor", "wallet_id": wallet["id"]})
    status, refused, headers = ask(
        samovar, {**SANDBOX, "image_base64": base64_of(picture())}, Authorization=f"Bearer {made['key']}"
    )
    assert status == 402, refused
    assert headers["content-type"] == "application/problem+json"
    assert refused["type"].startswith("urn:samovar:error:")


def test_without_a_key_nobody_is_served(samovar: Samovar) -> None:
    for path in (ANALYZE, STREAM):
        status, refused, headers = ask(
            samovar, {**SANDBOX, "image_url": "https://example.com/x"}, path, Authorization=""
        )
        assert (status, refused["code"]) == (401, "unauthenticated")
        assert headers["content-type"] == "application/problem+json"
        assert "bearer" in headers["www-authenticate"].lower()


@pytest.fixture(scope="module")
def opened(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """Vision open to all, pages of one origin allowed, a default model."""
    folder: Path = tmp_path_factory.mktemp("opened")
    running = start_samovar(
        folder,
        {
            "SAMOVAR_OPEN": "vision",
            "ALLOWED_ORIGINS": "https://app.example",
            "DEFAULT_MODEL": "glm-4.5v",
            "BIGMODEL_API_KEY": "sk-vendor-bigmodel",
            "BIGMODEL_BASE_URL": f"{sandbox.url}/bigmodel/api/paas/v4",
            "SAMOVAR_MAX_BODY_BYTES": "2000000",
        },
    )
    yield running
    running.stop()


def test_an_open_surface_needs_no_key_and_the_default_model_looks(opened: Samovar) -> None:
    asked = {"prompt": "What?", "image_base64": base64_of(picture())}
    for more in ({}, {"provider": "bigmodel"}):
        status, said, _ = ask(opened, {**asked, **more}, Authorization="")
        assert status == 200, said
        assert said["model"] == "bigmodel/glm-4.5v"


def test_pages_of_an_allowed_origin_may_call(opened: Samovar) -> None:
    preflight = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, authorization",
    }
    status, _, headers = opened.request("OPTIONS", ANALYZE, None, preflight)
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in headers["access-control-allow-methods"]
    asked = {"prompt": "What?", "image_base64": base64_of(picture())}
    status, _, headers = ask(opened, asked, Origin="https://app.example")
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example"
    status, _, _ = opened.request("OPTIONS", ANALYZE, None, {**preflight, "Origin": "https://evil.example"})
    assert status == 403


def test_with_nothing_but_the_sandbox_its_eyes_look(bare: Samovar) -> None:
    status, said, _ = ask(bare, {"prompt": "What?", "image_base64": base64_of(picture())})
    assert status == 200, said
    assert said["model"] == "sandbox/vision"


def test_a_key_s_guard_rails_hold_for_vision_too(samovar: Samovar) -> None:
    rules = [
        {"name": "kind", "pattern": "PNG", "on": "output", "action": "redact", "replacement": "<gone>"},
        {"name": "names", "pattern": "Voldemort", "on": "input", "action": "block"},
    ]
    status, made, _ = samovar.request("POST", "/api/keys", {"name": "guarded vision", "guard": {"rules": rules}})
    assert status == 201, made
    asked, key = {**SANDBOX, "image_base64": base64_of(picture())}, f"Bearer {made['key']}"
    for path in (ANALYZE, STREAM):
        status, said, _ = ask(samovar, {**asked, "cleanup": True}, path, Authorization=key)
        assert status == 200, said
        text = words_of(chunks_of(said)) if path == STREAM else said["text"]
        assert "<gone>, 32 x 24" in text
        status, refused, _ = ask(samovar, {**asked, "prompt": "Is it Voldemort?"}, path, Authorization=key)
        assert (status, refused["code"]) == (400, "guard_blocked")
