"""Every SDK against every vendor, through the sandbox in that vendor's wire format: the same as a call straight to it.

Each cell asks the same of Samovar and, in the vendor's own language, of the sandbox, and compares words, calls, thinking,
the reason to stop and the usage. Where a vendor is known not to do it, the cell proves that the caller is told so.
"""

import base64
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import openai
import pytest
from google.genai import errors as google_errors

from samovar.providers.gemini.reasoning import SKIP_VALIDATION
from samovar.providers.vendors import CHAT, GEMINI, MESSAGES, RESPONSES, VENDORS
from tests.e2e.conftest import Running, Samovar, start_samovar, start_sandbox
from tests.e2e.talks import Refused, Said, Talk, Task, anthropic_messages, google_generate, openai_chat
from tests.e2e.talks.anthropic_messages import Messages
from tests.e2e.talks.google_generate import Generate
from tests.e2e.talks.openai_chat import Chat
from tests.e2e.talks.openai_responses import Responses
from tests.e2e.test_sdks import WEATHER, picture

BASES = {
    "openai": "/v1",
    "openrouter": "/openrouter/api/v1",
    "bigmodel": "/bigmodel/api/paas/v4",
    "xai": "/xai/v1",
    "ollama": "/ollama/v1",
    "vllm": "/vllm/v1",
    "mistral": "/mistral/v1",
    "groq": "/groq/openai/v1",
    "deepseek": "/deepseek/v1",
    "azure": "/azure/openai/v1",
    "openai-compatible": "/vllm/v1",
    "anthropic": "",
    "gemini": "/v1beta",
    "sandbox": "/v1",
}
"""Where the sandbox speaks as each vendor."""
SDKS: dict[str, Callable[..., Talk]] = {CHAT: Chat, RESPONSES: Responses, MESSAGES: Messages, GEMINI: Generate}
CLIENTS: dict[str, Callable[[str, str], Any]] = {
    CHAT: openai_chat.client_of,
    RESPONSES: openai_chat.client_of,
    MESSAGES: anthropic_messages.client_of,
    GEMINI: google_generate.client_of,
}
PREFIXES = {CHAT: "", RESPONSES: "", MESSAGES: "", GEMINI: "/gemini"}
THINKING = ("reasoning", "thinking with tools")
CALLING = ("tools", "parallel", "thinking with tools")
PROOFS = {GEMINI: "thoughtSignature", RESPONSES: "encrypted_content", MESSAGES: "signature", "openrouter": "signature"}
"""What must come back to a vendor with its thinking. The sandbox refuses each that it did not make."""
ABILITIES = ("chat", *CALLING, "image", "schema", "reasoning")
CELLS = [
    pytest.param(sdk, vendor, ability, stream, id=f"{sdk}-{vendor}-{ability}-{'stream' if stream else 'whole'}")
    for sdk in SDKS
    for vendor in BASES
    for ability in ABILITIES
    for stream in (False, True)
]
TOOL = ("weather", WEATHER)
OTHER_TOOL = ("forecast", WEATHER)
FORM = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The vendors: a sandbox whose journal is nobody else's."""
    running = start_sandbox(tmp_path_factory.mktemp("upstream"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(upstream: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar to which the sandbox is every vendor there is."""
    settings = {"SAMOVAR_SANDBOX": "on"}
    for name, base in BASES.items():
        vendor = VENDORS[name]
        if name == "sandbox":  # the built-in one
            continue
        settings[vendor.base_url_env or ""] = f"{upstream.url}{base}"
        if vendor.key_env is not None:
            settings[vendor.key_env] = f"sk-vendor-{name}"
    running = start_samovar(tmp_path_factory.mktemp("gateway"), settings)
    yield running
    running.stop()


def test_every_vendor_of_the_table_stands_in_the_matrix() -> None:
    assert BASES.keys() == VENDORS.keys()


# --- one cell ----------------------------------------------------------------------------------------------------------


class Talks:
    """Begins conversations. One client for each place: making one takes longer than a call."""

    def __init__(self, gateway: Samovar, upstream: Running) -> None:
        self._gateway = gateway
        self._upstream = upstream
        self._clients: dict[tuple[str, str], Any] = {}
        self._direct: dict[tuple[str, str, str, bool], list[Said]] = {}

    def through_samovar(self, sdk: str, task: Task) -> Talk:
        """A conversation with a model by way of Samovar."""
        return SDKS[sdk](self.client(sdk), task)

    def direct(self, dialect: str, vendor: str, ability: str, stream: bool) -> list[Said]:
        """The same, asked of the sandbox itself in the vendor's own language."""
        key = (dialect, vendor, ability, stream)
        if key not in self._direct:
            # BigModel's own SDK would end in v4: the sandbox takes any path that ends right.
            base = re.sub(r"/v\d(beta)?$", "", BASES[vendor])
            task = task_of(ability, stream, dialect=dialect, vendor=vendor, model="sandbox/{}")
            client = self._client(dialect, self._upstream.url + base, "sk-direct")
            self._direct[key] = talked(SDKS[dialect](client, task), ability)
        return self._direct[key]

    def client(self, sdk: str) -> Any:
        """An SDK that calls Samovar."""
        return self._client(sdk, self._gateway.url + PREFIXES[sdk], self._gateway.key)

    def direct_vectors(self, vendor: str, texts: list[str]) -> tuple[list[list[float]], int | None]:
        """What the vendor itself answers, and its tokens; Google says none."""
        url = self._upstream.url + re.sub(r"/v\d(beta)?$", "", BASES[vendor])
        if vendor == "gemini":
            found = self._client(GEMINI, url, "k").models.embed_content(model="sandbox/embed", contents=texts)
            return [item.values for item in found.embeddings], None
        found = self._client(CHAT, url, "k").embeddings.create(model="sandbox/embed", input=texts)
        return [item.embedding for item in found.data], found.usage.prompt_tokens

    def last_request(self) -> str:
        """The body of the last call that reached the vendor."""
        with urllib.request.urlopen(f"{self._upstream.url}/sandbox/requests") as answer:  # noqa: S310
            return str(json.load(answer)["requests"][-1]["body"])

    def _client(self, sdk: str, url: str, key: str) -> Any:
        if (sdk, url) not in self._clients:
            self._clients[sdk, url] = CLIENTS[sdk](url, key)
        return self._clients[sdk, url]

    def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="module")
def talks(gateway: Samovar, upstream: Running) -> Iterator[Talks]:
    with closing(Talks(gateway, upstream)) as talks:
        yield talks


def task_of(ability: str, stream: bool, *, dialect: str, vendor: str, model: str, sdk: str | None = None) -> Task:
    """What the conversation is about. A caller of the vendor's own language uses the vendor's own words."""
    names = {"image": "vision", "tools": "tools", "parallel": "tools"}
    name = names.get(ability, "reason" if ability in THINKING else "echo")
    tools = {"tools": (TOOL,), "parallel": (TOOL, OTHER_TOOL), "thinking with tools": (TOOL, OTHER_TOOL)}
    quirks = VENDORS[vendor].quirks
    return Task(
        model=model.format(name),
        stream=stream,
        tools=tools.get(ability, ()),
        schema=FORM if ability == "schema" else None,
        thinks=name == "reason",
        switch=(quirks.reasoning_switch or "effort") if dialect == CHAT and sdk in (None, CHAT) else "openrouter",
        asks_usage=sdk is not None or quirks.stream_usage_option,
    )


def talked(talk: Talk, ability: str) -> list[Said]:
    """Each answer of the conversation."""
    if ability == "image":
        return [talk.ask("What is this?", image=base64.b64decode(picture()))]
    if ability in CALLING:
        first = talk.ask("The weather, please" if ability == "tools" else "The weather, in parallel, please")
        return [first, talk.give([f"sunny, {number} degrees" for number in range(len(first.calls))])]
    return [talk.ask("one two three four пять")]


def dialect_of(vendor: str, sdk: str) -> str:
    """The language in which Samovar speaks to the vendor for that SDK."""
    paths = VENDORS[vendor].paths
    if sdk in paths:
        return sdk
    return next((name for start, name in VENDORS[vendor].preferred if not start), next(iter(paths)))


def refusal_of(vendor: str, sdk: str, dialect: str, ability: str) -> str | None:
    """What of the cell the vendor is known not to do, in a word of the refusal; ``None`` where it does it all."""
    quirks = VENDORS[vendor].quirks
    if ability == "schema" and "json_schema" in quirks.rejects:
        return "json_schema"
    if sdk != dialect == CHAT and ability in THINKING and quirks.reasoning_switch is None:
        return "reasoning"
    return None


@pytest.mark.parametrize(("sdk", "vendor", "ability", "stream"), CELLS)
def test_a_call_through_samovar_is_as_good_as_one_to_the_vendor(
    talks: Talks, sdk: str, vendor: str, ability: str, stream: bool
) -> None:
    dialect = dialect_of(vendor, sdk)
    model = "sandbox/{}" if vendor == "sandbox" else vendor + "/sandbox/{}"
    task = task_of(ability, stream, dialect=dialect, vendor=vendor, model=model, sdk=sdk)
    talk = talks.through_samovar(sdk, task)
    refusal = refusal_of(vendor, sdk, dialect, ability)
    if refusal is not None:
        with pytest.raises(Refused) as refused:
            talked(talk, ability)
        assert refused.value.status == 400
        assert refused.value.kind in ("unsupported_by_provider", "invalid_request_error", "INVALID_ARGUMENT")
        assert refusal in refused.value.words
        return
    wanted = talks.direct(dialect, vendor, ability, stream)
    got = talked(talk, ability)
    assert [comparable(said, sdk, dialect) for said in got] == [comparable(said, sdk, dialect) for said in wanted]
    assert got[0].input == wanted[0].input
    # What came back to the vendor may lack thinking that it has no use for, and Google's SDK writes arguments with spaces.
    assert abs(got[-1].input - wanted[-1].input) <= (0 if sdk == dialect else wanted[0].reasoning + 4)
    if ability in CALLING:
        assert len(got[0].calls) == (1 if ability == "tools" else 2)
    if task.thinks and dialect != CHAT:
        assert all(said.thought for said in got)
    if ability == "thinking with tools" and vendor != "sandbox":  # the built-in one keeps no journal
        proof = "openrouter" if vendor == "openrouter" else dialect
        assert PROOFS.get(proof, "weather") in talks.last_request()
        assert SKIP_VALIDATION not in talks.last_request()
    if stream and ability == "chat":
        assert got[0].pieces >= 5


def comparable(said: Said, sdk: str, dialect: str) -> Said:
    """Without what one of the two languages has no word for: Anthropic's usage does not tell reasoning apart."""
    apart = MESSAGES in (sdk, dialect) and sdk != dialect
    return replace(said, input=0, reasoning=0 if apart else said.reasoning)


# --- embeddings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", BASES)
def test_vectors_through_google_s_sdk_are_those_of_the_vendor(talks: Talks, vendor: str) -> None:
    texts = ["a samovar boils water", "чай"]
    model = "sandbox/embed" if vendor == "sandbox" else f"{vendor}/sandbox/embed"
    client = talks.client(GEMINI)
    if not VENDORS[vendor].embedding_paths:
        with pytest.raises(google_errors.ClientError, match=f"provider {vendor} "):
            client.models.embed_content(model=model, contents=texts)
        return
    got = client.models.embed_content(model=model, contents=texts)
    vectors, _ = talks.direct_vectors(vendor, texts)
    assert [item.values for item in got.embeddings] == [pytest.approx(vector, abs=1e-6) for vector in vectors]


@pytest.mark.parametrize("vendor", BASES)
def test_google_s_sdk_is_told_a_count_of_tokens_or_our_estimate(talks: Talks, vendor: str) -> None:
    model = "sandbox/echo" if vendor == "sandbox" else f"{vendor}/sandbox/echo"
    text = "a samovar boils water" * 10
    got = talks.client(GEMINI).models.count_tokens(model=model, contents=text)
    is_estimate = got.sdk_http_response.headers.get("x-samovar-estimated") == "1"
    assert is_estimate == (vendor != "gemini")
    assert got.total_tokens >= len(text) // 4


@pytest.mark.parametrize("vendor", BASES)
def test_vectors_through_samovar_are_those_of_the_vendor(talks: Talks, vendor: str) -> None:
    texts = ["a samovar boils water", "чай"]
    model = "sandbox/embed" if vendor == "sandbox" else f"{vendor}/sandbox/embed"
    client = talks.client(CHAT)
    if not VENDORS[vendor].embedding_paths:
        with pytest.raises(openai.BadRequestError, match=f"provider {vendor} "):
            client.embeddings.create(model=model, input=texts)
        return
    got = client.embeddings.create(model=model, input=texts)
    vectors, tokens = talks.direct_vectors(vendor, texts)
    assert [item.embedding for item in got.data] == [pytest.approx(vector, abs=1e-6) for vector in vectors]
    assert got.usage.prompt_tokens == got.usage.total_tokens
    assert tokens in (None, got.usage.prompt_tokens)
