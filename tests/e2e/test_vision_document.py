"""The vision curls of the requirements document, each as it stands there, with a key added."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ADMIN_TOKEN, Running, Samovar, start_samovar
from tests.e2e.pictures import base64_of, chunks_of, picture, words_of


@pytest.fixture(scope="module")
def deployed(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """As the document sets its secrets; the vendors are the sandbox."""
    folder: Path = tmp_path_factory.mktemp("deployed")
    running = start_samovar(
        folder,
        {
            "BIGMODEL_API_KEY": "sk-vendor-bigmodel",
            "BIGMODEL_BASE_URL": f"{sandbox.url}/bigmodel/api/paas/v4",
            "OPENROUTER_API_KEY": "sk-vendor-openrouter",
            "OPENROUTER_BASE_URL": f"{sandbox.url}/openrouter/v1",
            "DEFAULT_MODEL": "glm-4.5v",
            "ALLOWED_ORIGINS": "https://your-frontend.vercel.app,http://localhost:3000",
        },
    )
    yield running
    running.stop()


def curl(samovar: Samovar, *arguments: str) -> str:
    """A curl with the key's header."""
    done = subprocess.run(
        ["curl", "-sS", "-m", "30", "-H", f"Authorization: Bearer {samovar.key}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_health_check_is_ok(deployed: Samovar) -> None:
    said = json.loads(curl(deployed, f"{deployed.url}/healthz"))
    assert said["ok"] is True
    assert said["ts"] > 0


def test_analyze_says_what_is_on_the_photo(deployed: Samovar) -> None:
    said = json.loads(
        curl(
            deployed,
            *("-X", "POST", f"{deployed.url}/v1/vision/analyze", "-H", "content-type: application/json"),
            *("-d", '{"provider":"bigmodel","prompt":"Что на фото?","image_url":"https://example.com/photo.jpg"}'),
        )
    )
    assert said["model"] == "bigmodel/glm-4.5v"
    assert "https://example.com/photo.jpg" in said["text"]


def test_stream_describes_in_pieces(deployed: Samovar) -> None:
    text = curl(
        deployed,
        *("-N", "-X", "POST", f"{deployed.url}/v1/vision/stream", "-H", "content-type: application/json"),
        *(
            "-d",
            '{"provider":"bigmodel","prompt":"Детально опиши","image_url":"https://example.com/a.png","stream":true}',
        ),
    )
    assert "https://example.com/a.png" in words_of(chunks_of(text))


def test_stream_needs_no_content_type(deployed: Samovar) -> None:
    body = {"provider": "bigmodel", "prompt": "Что?", "image_base64": base64_of(picture())}
    text = curl(deployed, "-N", f"{deployed.url}/v1/vision/stream", "-X", "POST", "-d", json.dumps(body))
    assert "32 x 24 pixels" in words_of(chunks_of(text))


def test_openrouter_is_called_by_name(deployed: Samovar) -> None:
    body = {"provider": "openrouter", "prompt": "Что?", "image_base64": base64_of(picture())}
    said = json.loads(curl(deployed, "-X", "POST", f"{deployed.url}/v1/vision/analyze", "-d", json.dumps(body)))
    assert said["provider"] == "openrouter", said
    assert "32 x 24 pixels" in said["text"]


def test_a_form_brings_its_photo(deployed: Samovar, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture(kind="JPEG"))
    said = json.loads(
        curl(
            deployed,
            *("-X", "POST", f"{deployed.url}/v1/vision/analyze"),
            *("-F", f"image=@{photo}", "-F", "prompt=Что на фото?", "-F", "provider=bigmodel"),
        )
    )
    assert "JPEG, 32 x 24" in said["text"], said


def test_pages_may_ask_before_they_call(deployed: Samovar) -> None:
    for origin in ("https://your-frontend.vercel.app", "http://localhost:3000"):
        head = curl(
            deployed,
            *("-i", "-X", "OPTIONS", f"{deployed.url}/v1/vision/stream", "-H", f"Origin: {origin}"),
            *("-H", "Access-Control-Request-Method: POST"),
            *("-H", "Access-Control-Request-Headers: content-type, authorization, x-admin-token"),
        ).lower()
        assert head.startswith("http/1.1 200")
        assert f"access-control-allow-origin: {origin}" in head
        for word in ("get", "post", "put", "delete", "options", "content-type", "authorization", "x-admin-token"):
            assert word in head


def test_about_tells_routes_and_the_pattern(deployed: Samovar) -> None:
    said = json.loads(curl(deployed, f"{deployed.url}/about"))
    assert said["version"]
    assert said["environment"]
    for route in ("GET /healthz", "GET /about", "POST /v1/vision/analyze", "POST /v1/vision/stream"):
        assert route in said["routes"]
    assert said["config"]["regex_cleanup"] == {
        "pattern": "^(?:System|Meta|Debug).*$",
        "flags": "gmi",
        "source": "default",
    }
    changed = curl(
        deployed,
        *("-X", "PUT", f"{deployed.url}/admin/config/regex", "-H", f"X-Admin-Token: {ADMIN_TOKEN}"),
        *("-d", '{"pattern": "^Note:.*$", "flags": "gm"}'),
    )
    assert json.loads(changed)["source"] == "database"
    said = json.loads(curl(deployed, f"{deployed.url}/about"))
    assert said["config"]["regex_cleanup"] == {"pattern": "^Note:.*$", "flags": "gm", "source": "database"}
