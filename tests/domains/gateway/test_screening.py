"""What rules look at: JSON of all sorts, files, names; and what goes with what was redacted."""

import base64
import codecs
import json

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from samovar.domains.gateway.errors import GuardBlocked
from samovar.domains.gateway.model.escapes import undone
from samovar.domains.gateway.model.screening import ScreenedStream, screened_request, screened_response
from samovar.ports.llm import (
    ArgumentsDelta,
    ChatRequest,
    ChatResponse,
    Delta,
    Media,
    MediaKind,
    Opaque,
    OutputFormat,
    PartClosed,
    PartOpened,
    Stop,
    StopKind,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from tests.domains.gateway.screens import blocking, redacting, request

ESCAPED = r"\u0073ecret"
UNREADABLE = {
    "cut off": '{"a": "my SECRET',
    "a comma too many": '{"a": "my SECRET",}',
    "not a number": '{"b": NaN, "a": "SECRET"}',
    "two documents": '{} {"a": "SECRET"}',
    "half a character": r'{"b": "\ud83d", "a": "SECRET"}',
    "too deep": '{"a":' + "[" * 1100 + '"SECRET"' + "]" * 1100 + "}",
    "escapes that JSON does not know": r'{"b": "\q", "a": "SECRET"}',
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("said", ["secret", ESCAPED, r"\x73ecret", r"s\ecret"])
def test_arguments_that_are_no_json_are_looked_at_with_their_escapes_undone(text: str, said: str) -> None:
    given_ = text.replace("SECRET", said)
    assert redacting("secret").json(given_) == text.replace("SECRET", "[redacted]")
    with pytest.raises(GuardBlocked):
        blocking("secret").json(given_)


@given(st.text(max_size=30), st.text(max_size=30))
def test_where_escapes_are_undone_the_find_alone_is_replaced(before: str, after: str) -> None:
    before, after = (json.dumps(text)[1:-1] for text in (before, after))
    assume("secret" not in before + after)
    text = f'{{"a": "{before}{ESCAPED}{after}'
    assert redacting("secret", replacement="").json(text) == f'{{"a": "{before}{after}'


@given(st.text())
def test_what_json_escaped_is_undone(text: str) -> None:
    assert undone(json.dumps(text)[1:-1]).text == text
    assert undone(json.dumps(text, ensure_ascii=False)[1:-1]).text == text


def test_results_of_tools_that_are_json_are_looked_at_with_their_escapes_undone() -> None:
    def result(text: str) -> ChatRequest:
        return request(ToolResult(call_id="1", content=(Text(text=text),)))

    for text in ('{"a": ["X"]}', '["X", ', '"X"'):
        ruled = screened_request(result(text.replace("X", ESCAPED)), redacting("secret", replacement="*"))
        assert ruled == result(text.replace("X", "*"))
    # Elsewhere a backslash is what was said.
    assert redacting("secret").text(ESCAPED) == ESCAPED


def file(text: str | bytes, kind: MediaKind = MediaKind.FILE, **fields: str) -> Media:
    data = text.encode() if isinstance(text, str) else text
    return Media(kind=kind, base64=base64.b64encode(data).decode(), **fields)  # type: ignore[arg-type]


def ruled_media(media: Media) -> Media:
    """The file redacted; where nothing was, a rule that blocks must find nothing either."""
    changed = screened_request(request(media), redacting("secret", replacement="*")).messages[0].parts[0]
    assert isinstance(changed, Media)
    if changed == media:
        screened_request(request(media), blocking("secret"))
    else:
        with pytest.raises(GuardBlocked):
            screened_request(request(media), blocking("secret"))
    return changed


@pytest.mark.parametrize(
    "label",
    ["text/plain", "TEXT/Plain; charset=utf-8", "text/x-python", "application/json", "application/vnd.api+json",
     "application/x-ndjson", "application/javascript", "Application/YAML", "application/sql", "application/rtf",
     "image/svg+xml", "application/xhtml+xml", "application/octet-stream", "application/pdf", "image/png", "x/y", "", None],
)  # fmt: skip
def test_a_file_of_text_is_looked_into_whatever_its_label(label: str | None) -> None:
    media = file("мой secret!", media_type=label) if label is not None else file("мой secret!")
    assert ruled_media(media) == msgspec.structs.replace(media, base64=file("мой *!").base64)


@pytest.mark.parametrize(
    ("label", "name"), [("text/plain", "a"), ("application/octet-stream", "a.TXT"), ("application/pdf", "notes.md")]
)
def test_what_is_named_a_text_is_looked_into_though_it_is_not_quite_utf8(label: str, name: str) -> None:
    media = file(b"\xff my secret \xfe", media_type=label, filename=name)
    assert ruled_media(media).base64 == file(b"\xff my * \xfe").base64


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_is_believed(encoding: str) -> None:
    changed = ruled_media(file("мой secret".encode(encoding), media_type="application/octet-stream"))
    assert base64.b64decode(changed.base64 or "").decode(encoding) == "мой *"
    big = codecs.BOM_UTF16_BE + "secret".encode("utf-16-be")
    assert ruled_media(file(big)).base64 != file(big).base64


def test_a_charset_is_believed_where_the_bytes_are_not_plain() -> None:
    media = file("мой secret".encode("cp1251"), media_type="text/plain; charset=windows-1251")
    assert ruled_media(media).base64 == file("мой *".encode("cp1251")).base64
    wide = file("secret".encode("utf-16-le"), media_type="text/plain; charset=utf-16le")
    assert ruled_media(wide).base64 == file("*".encode("utf-16-le")).base64
    lie = file("secret", media_type="text/plain; charset=utf-16")
    assert ruled_media(lie).base64 == file("*").base64


PICTURE = b"\x89PNG\r\n\x1a\n secret"
DOCUMENT = b"%PDF-1.4 secret"


@pytest.mark.parametrize(("data", "label"), [(PICTURE, "image/png"), (PICTURE, ""), (DOCUMENT, "application/pdf")])
def test_pictures_and_pdf_are_left_alone(data: bytes, label: str) -> None:
    media = file(data, media_type=label)
    assert ruled_media(media) == media


@pytest.mark.parametrize("cut", [slice(None), slice(None, -1), slice(None, -2)])
def test_base64_is_read_in_either_alphabet_however_it_is_padded(cut: slice) -> None:
    said = base64.urlsafe_b64encode(b"??>>~~ secret!!")
    assert b"_" in said or b"-" in said
    text = said.decode().rstrip("=")[cut] + "\n"
    assert ruled_media(Media(kind=MediaKind.FILE, base64=text, media_type="text/plain")).base64 != text


URLS = {
    "data:text/plain,my%20secret": ("my *", "text/plain"),
    "data:text/plain,my secret": ("my *", "text/plain"),
    "data:,secret": ("*", "text/plain"),
    "DATA:text/plain;BASE64,c2VjcmV0": ("*", "text/plain"),
    "data:text/html; charset=utf-8; base64,c2VjcmV0": ("*", "text/html"),
    "data:;base64,c2VjcmV0": ("*", "a/b"),
}


@pytest.mark.parametrize(("url", "expected"), URLS.items())
def test_data_urls_are_looked_into_in_every_form(url: str, expected: tuple[str, str]) -> None:
    text, label = expected
    for media in (
        Media(kind=MediaKind.IMAGE, url=url, media_type="a/b"),
        Media(kind=MediaKind.FILE, base64=url, media_type="a/b"),
    ):
        changed = ruled_media(media)
        assert (changed.base64, changed.url, changed.media_type) == (file(text).base64, None, label)
    address = Media(kind=MediaKind.IMAGE, url="https://example.org/secret")
    assert ruled_media(address) == address


def test_words_where_base64_belongs_are_looked_at_as_they_stand() -> None:
    assert ruled_media(Media(kind=MediaKind.FILE, base64="my secret", media_type="application/pdf")).base64 == "my *"
    apart = Media(kind=MediaKind.FILE, base64=" ".join(file("secret").base64 or ""), media_type="application/pdf")
    assert ruled_media(apart).base64 == file("*").base64


def test_names_of_files_are_looked_at() -> None:
    assert ruled_media(file(DOCUMENT, filename="my secret.pdf")).filename == "my *.pdf"
    stored = Media(kind=MediaKind.FILE, file_id="secret", filename="secret")
    assert ruled_media(stored) == Media(kind=MediaKind.FILE, file_id="secret", filename="*")


@pytest.mark.parametrize("form", ["{}", "data:text/plain;base64,{}"])
def test_files_in_parts_that_nobody_knows_are_looked_into(form: str) -> None:
    def part(text: str) -> Opaque:
        data = form.format(base64.b64encode(text.encode()).decode())
        return Opaque(dialect="d", raw=msgspec.Raw(json.dumps({"source": {"data": data}, "id": "c2VjcmV0cw"}).encode()))

    ruled = screened_request(request(part("my secret, long")), redacting("secret", replacement="*"))
    raw = ruled.messages[0].parts[0].raw  # type: ignore[union-attr]
    assert json.loads(bytes(raw))["source"] == json.loads(bytes(part("my *, long").raw))["source"]
    with pytest.raises(GuardBlocked):
        screened_request(request(part("my secret, long")), blocking("secret"))
    sealed = Opaque(dialect="d", raw=msgspec.Raw(b'{"signature":"/+7/secretsecretsecret/8="}'))
    assert screened_request(request(sealed), redacting("SECRET")).messages[0].parts[0] == sealed


NAMED = {
    "metadata": lambda raw: {"metadata": raw},
    "a schema": lambda raw: {"tools": (Tool(name="f", schema=raw),)},
    "a setting": lambda raw: {"extensions": {"prediction": raw}},
    "a form": lambda raw: {"output": OutputFormat(kind="json_schema", schema=raw)},
}


@pytest.mark.parametrize("place", NAMED)
def test_names_of_fields_are_looked_at_by_rules_that_block_and_left_by_those_that_redact(place: str) -> None:
    raw = msgspec.Raw(b'{"properties": {"my_secret": {"type": "string"}}}')
    asked = ChatRequest(model="m", messages=(), **NAMED[place](raw))
    assert screened_request(asked, redacting("secret")) is asked
    with pytest.raises(GuardBlocked):
        screened_request(asked, blocking("secret"))


def test_the_name_of_a_form_is_looked_at_by_rules_that_block() -> None:
    asked = ChatRequest(model="m", messages=(), output=OutputFormat(kind="json_schema", name="secret"))
    assert screened_request(asked, redacting("secret")) is asked
    with pytest.raises(GuardBlocked):
        screened_request(asked, blocking("secret"))


def calls_as_stream(response: ChatResponse, size: int) -> list[Delta]:
    """The same calls, their arguments in pieces of so many characters."""
    deltas: list[Delta] = []
    for index, part in enumerate(response.parts):
        assert isinstance(part, ToolCall)
        deltas.append(PartOpened(index, msgspec.structs.replace(part, arguments="")))
        pieces = [part.arguments[at : at + size] for at in range(0, len(part.arguments), size)]
        deltas += [*(ArgumentsDelta(index, piece) for piece in pieces), PartClosed(index)]
    return deltas


@pytest.mark.parametrize("size", [3, 700])
def test_a_call_whose_arguments_were_redacted_loses_its_signature_and_another_keeps_it(size: int) -> None:
    response = ChatResponse(
        id="1",
        model="m",
        parts=(
            ToolCall(id="a", name="f", arguments='{"q": "a secret"}', signature="of a"),
            ToolCall(id="b", name="f", arguments='{"q": "nothing"}', signature="of b"),
            ToolCall(id="c", name="f", arguments="", signature="of c"),
        ),
        stop=Stop(kind=StopKind.TOOL_CALLS),
        usage=Usage(),
    )
    ruled = redacting("secret")
    whole = screened_response(response, ruled)
    assert whole.parts == (
        ToolCall(id="a", name="f", arguments='{"q": "a [redacted]"}', signature=None),
        *response.parts[1:],
    )
    stream = ScreenedStream(ruled)
    deltas = [one for delta in calls_as_stream(response, size) for one in stream.pass_on(delta)]
    opened = [delta.part for delta in deltas if isinstance(delta, PartOpened)]
    assert opened == [msgspec.structs.replace(part, arguments="") for part in whole.parts]  # type: ignore[type-var]
    for index, part in enumerate(whole.parts):
        said = [delta.json for delta in deltas if isinstance(delta, ArgumentsDelta) and delta.index == index]
        assert "".join(said) == part.arguments  # type: ignore[union-attr]
