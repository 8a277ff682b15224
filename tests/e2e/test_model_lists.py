"""Lists of models as the vendors' SDKs turn their pages."""

import anthropic
import openai
from google import genai

from tests.e2e.conftest import Samovar


def test_every_sdk_lists_the_same_models(samovar: Samovar) -> None:
    whole = [model.id for model in openai.OpenAI(base_url=f"{samovar.url}/v1", api_key=samovar.key).models.list()]
    assert len(whole) > 50
    client = anthropic.Anthropic(base_url=samovar.url, api_key=samovar.key)
    first = client.models.list(limit=20)
    assert (len(first.data), first.has_more) == (20, True)
    assert [model.id for model in first] == whole
    before = client.models.list(limit=5, before_id=whole[10])
    assert [model.id for model in before.data] == whole[5:10]
    google = genai.Client(
        api_key=samovar.key,
        http_options=genai.types.HttpOptions(base_url=f"{samovar.url}/gemini"),
    )
    listed = [model.name for model in google.models.list(config={"page_size": 30})]
    assert listed == sorted(f"models/{name}" for name in whole)


def test_every_sdk_reads_one_model(samovar: Samovar) -> None:
    name = "sandbox/echo"
    assert openai.OpenAI(base_url=f"{samovar.url}/v1", api_key=samovar.key).models.retrieve(name).id == name
    assert anthropic.Anthropic(base_url=samovar.url, api_key=samovar.key).models.retrieve(name).id == name
    headers = {"x-goog-api-key": samovar.key}
    status, one, _ = samovar.request("GET", f"/gemini/v1beta/models/{name}", headers=headers)
    assert (status, one["name"]) == (200, f"models/{name}")
    status, refused, _ = samovar.request("GET", "/gemini/v1beta/models/none/such", headers=headers)
    assert (status, refused["error"]["status"]) == (404, "NOT_FOUND")
