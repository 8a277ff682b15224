"""Prompts written down as JSON, YAML and a folder of Markdown, and read again. What is read may be anybody's."""

import io
import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from samovar.domains.prompts.errors import BadImport
from samovar.domains.prompts.model import Prompt, Variable, VariableType
from samovar.domains.prompts.model.exchange import (
    Entry,
    Form,
    entry_of,
    path_of,
    read_document,
    read_files,
    read_yaml,
    write_file,
    write_yaml,
    writer,
)
from samovar.kernel.errors import Malformed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAIN = Prompt(
    id=1,
    namespace="default",
    name="greet",
    version=1,
    lang="ru",
    text="Привет, {{name}}!",
    tags=("hello",),
    priority=10,
    is_active=True,
    is_default=False,
    labels=("production",),
    variables=(Variable(name="name", description="Кого"),),
    revision=1,
    created_at=NOW,
    created_by="admin",
    updated_at=NOW,
    updated_by="admin",
)

# Everything that a registry keeps, and what YAML, Markdown and file systems stumble over more often than chance would have it.
CHARS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
ODD = st.sampled_from(
    [
        "---\n",
        "---",
        "\r\n",
        "\r",
        "\n",
        "\n\n",
        " ",
        "\t",
        "# ",
        "- ",
        ": ",
        "...",
        "😀",
        "Ёлка",
        "\ufeff",
        "\u2028",
        "\x85",
        "{{x}}",
    ]
)
TEXTS = st.lists(ODD | st.text(CHARS, max_size=8), min_size=1, max_size=12).map("".join).filter(bool)
NAMES = (
    st.text(
        st.sampled_from("aZя0_-. %~@:é😀?*'\"й")
        | st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/\\"),
        min_size=1,
        max_size=64,
    )
    | st.sampled_from(["con", "NUL.txt", "no", "null", "123", "1.5", "~", "я" * 64, "e\u0301", "%2E", "x@2"])
).filter(lambda name: name == name.strip() and not name.startswith("."))
VARIABLES = st.sampled_from(
    [
        (),
        (Variable(name="имя"),),
        (
            Variable(name="n", type=VariableType.INTEGER, default=3, description="a\nb: c"),
            Variable(name="on", type=VariableType.BOOLEAN, default=True),
            Variable(name="s", default="3"),
            Variable(name="f", type=VariableType.NUMBER, default=0.25),
            Variable(name="e", type=VariableType.ENUM, options=("no", "yes"), default="no"),
        ),
    ]
)


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """A version with anything in it that the registry would keep."""
    return structs.replace(
        PLAIN,
        namespace=draw(NAMES),
        name=draw(NAMES),
        lang=draw(st.sampled_from(["en", "ru", "no", "pt-BR"])),
        version=draw(st.integers(1, 1_000_000)),
        text=draw(TEXTS),
        tags=tuple(draw(st.lists(NAMES, max_size=3, unique=True))),
        priority=draw(st.integers(-1_000_000, 1_000_000)),
        is_active=draw(st.booleans()),
        labels=tuple(draw(st.sampled_from([(), ("production",), ("1.0", "no")]))),
        variables=draw(VARIABLES),
    )


def written(found: Sequence[Prompt], form: Form) -> bytes:
    """An export of these, of each prompt the newest first."""
    export = writer(form)
    pieces = [export.begin(at=NOW, count=len(found))]
    slots = set()
    for prompt in found:
        slot = (prompt.namespace, prompt.name, prompt.lang)
        pieces.append(export.add(prompt, is_newest=slot not in slots))
        slots.add(slot)
    return b"".join([*pieces, export.end()])


@pytest.mark.parametrize("form", Form)
@given(data=st.data())
def test_what_was_written_is_read_as_it_was(form: Form, data: st.DataObject) -> None:
    ours = {
        (prompt.namespace, prompt.name, prompt.lang): prompt
        for prompt in data.draw(st.lists(prompts(), min_size=1, max_size=3))
    }
    read = [item.entry for item in read_document(written([*ours.values()], form), form)]
    assert read == [entry_of(prompt) for prompt in ours.values()]


@given(prompt=prompts())
def test_a_file_holds_its_text_byte_for_byte_and_one_line_feed(prompt: Prompt) -> None:
    entry = entry_of(prompt)
    content = write_file(entry)
    assert content.endswith(prompt.text.encode() + b"\n")
    path = path_of(entry, is_newest=True)
    assert len(path.rpartition("/")[2].encode()) <= 255
    assert read_files([(path, content)])[0].entry == entry
    if not prompt.text.endswith("\n"):
        # An editor that takes the last line feed away changes nothing.
        assert read_files([(path, content[:-1])])[0].entry == entry


@given(one=NAMES, other=NAMES)
def test_no_two_names_share_a_path_and_none_leads_out_of_the_folder(one: str, other: str) -> None:
    paths = [path_of(Entry(namespace=name, name=name, lang="en", text="x"), is_newest=True) for name in (one, other)]
    assert (paths[0] == paths[1]) == (one == other)
    for part in paths[0].split("/"):
        assert part not in ("", ".", "..")
        assert not re.search(r'[\x00-\x1f\\:*?"<>|]', part)
        assert not re.match(r"(con|nul)(\.|$)", part, re.IGNORECASE)


def test_a_folder_reads_well_and_keeps_older_versions_beside() -> None:
    newer = structs.replace(PLAIN, version=2, text="Здравствуйте, {{name}} 😀\n", labels=())
    with zipfile.ZipFile(io.BytesIO(written([newer, PLAIN], Form.MARKDOWN))) as archive:
        assert archive.namelist() == ["default/greet.ru.md", "default/greet.ru@1.md"]
        assert archive.read("default/greet.ru.md").decode() == (
            "---\nnamespace: default\nname: greet\nlang: ru\nversion: 2\ntags:\n- hello\npriority: 10\nactive: true\n"
            "default: false\nlabels: []\nvariables:\n- name: name\n  description: Кого\n---\nЗдравствуйте, {{name}} 😀\n\n"
        )


def test_yaml_shows_a_text_line_by_line() -> None:
    text = written([structs.replace(PLAIN, text="Привет 😀\n\n  мир\n", variables=())], Form.YAML).decode()
    assert text.endswith("  text: |\n    Привет 😀\n\n      мир\n")


def test_line_ends_that_git_made_crlf_are_undone() -> None:
    content = write_file(entry_of(structs.replace(PLAIN, text="a\nb")))
    read = read_files([("default/greet.ru.md", content.replace(b"\n", b"\r\n"))])
    assert read[0].entry.text == "a\nb"


def test_a_file_may_leave_to_its_path_whose_it_is() -> None:
    read = read_files(
        [("Тесты/v1.2 x%40.pt-BR.md", b"---\n---\ntext"), ("a/b.en@3.md", b"---\nlabels: [old]\n---\ntext\n")]
    )
    assert [item.entry for item in read] == [
        Entry(namespace="Тесты", name="v1.2 x@", lang="pt-BR", text="text"),
        Entry(namespace="a", name="b", lang="en", version=3, labels=("old",), text="text"),
    ]


@pytest.mark.parametrize(
    ("path", "content", "why"),
    [
        ("a/b.en.md", b"text", "front matter"),
        ("a/b.en.md", b"---\nname: b\ntext", "front matter"),
        ("a/b.en.md", b"---\n- b\n---\ntext", "fields with values"),
        ("a/b.en.md", b"---\nname: c\n---\ntext", "must be called a/c.en.md"),
        ("a/b.en.md", b"---\nnamespace: ../../etc\n---\ntext", "without control characters"),
        ("a/b.en.md", b"---\nis_on: true\n---\ntext", "is_on"),
        ("a/b.en.md", b"---\nversion: one\n---\ntext", "version"),
        ("a/b.en.md", b"---\ntext: b\n---\ntext", "stands below"),
        ("a/b.en.md", b"---\n---\n\xff", "UTF-8"),
        ("a/b.en.md", b"---\n---\n", "1 to 10000 characters"),
        ("a/b.en.md", b"---\n---\n" + b"x" * 10_001, "10001"),
        ("a/b.en.md", b"---\n---\n" + b"x" * 300_000, "bytes"),
        ("a/%2E%2E.en.md", b"---\n---\ntext", "begins with '.'"),
        ("a/b%2Fc.en.md", b"---\n---\ntext", "'/'"),
        ("a/b.md", b"---\n---\ntext", "<language>"),
        ("a/b.x1.md", b"---\n---\ntext", "language tag"),
        ("b.en.md", b"---\n---\ntext", "<namespace>"),
    ],
)
def test_a_file_that_is_wrong_is_named(path: str, content: bytes, why: str) -> None:
    with pytest.raises(BadImport) as caught:
        read_files([("a/good.en.md", b"---\n---\ntext"), (path, content)])
    assert [flaw.where.startswith(path) for flaw in caught.value.flaws] == [True]
    assert why in caught.value.detail


# --- archives of strangers --------------------------------------------------------------------------------------------


def packed(*files: tuple[str, bytes]) -> bytes:
    """A zip of these."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files:
            archive.writestr(path, content)
    return sink.getvalue()


GOOD = ("default/greet.en.md", b"---\n---\nHello")


@pytest.mark.parametrize(
    "path",
    ["../default/x.en.md", "/etc/x.en.md", "default/../x.en.md", "default\\..\\x.en.md", "C:/x.en.md", "./x.en.md"],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    archive = packed(GOOD, ("default/" + "x" * len(path), b"")).replace(
        ("default/" + "x" * len(path)).encode(), path.encode()
    )
    with pytest.raises(BadImport, match=r"no path within|no zip"):
        read_document(packed(GOOD, (path, GOOD[1])) if "\\" not in path else archive, Form.MARKDOWN)


def test_what_is_no_prompt_in_a_zip_is_passed_over() -> None:
    archive = packed(GOOD, ("README.md", b"# Prompts"), (".samovar.json", b"{}"), ("__MACOSX/default/._x.md", b"\0"))
    assert [item.where for item in read_document(archive, Form.MARKDOWN)] == [GOOD[0]]


def test_a_zip_of_the_folder_itself_is_told_so() -> None:
    with pytest.raises(BadImport, match="not the folder itself"):
        read_document(packed(("prompts/default/greet.en.md", GOOD[1])), Form.MARKDOWN)


def test_a_zip_that_unpacks_to_very_much_is_refused_before_it_does() -> None:
    bomb = packed(("default/bomb.en.md", b"---\n---\n" + b"x" * 50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(BadImport, match="more than 262144 bytes"):
        read_document(bomb, Form.MARKDOWN)


@pytest.mark.parametrize("raw", [b"", b"no zip", packed(GOOD)[:-30], packed(GOOD)[40:], packed()])
def test_a_zip_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(BadImport, match="zip"):
        read_document(raw, Form.MARKDOWN)


@given(raw=st.binary(max_size=300), at=st.integers(0, 200))
def test_no_bytes_make_a_zip_do_more_than_be_refused(raw: bytes, at: int) -> None:
    archive = packed(GOOD)
    with suppress(BadImport, Malformed):
        read_document(archive[:at] + raw + archive[at + len(raw) :], Form.MARKDOWN)


# --- documents of strangers -------------------------------------------------------------------------------------------


def test_the_document_s_own_export_is_taken() -> None:
    raw = b"""{"exported_at": "2026-01-01T00:00:00.000Z", "count": 1, "prompts": [{"id": 7, "namespace": "default",
      "name": "test_prompt", "version": 1, "lang": "ru", "text": "\xd0\xa2\xd0\xb5\xd1\x81\xd1\x82", "tags": ["test"],
      "priority": 10, "is_active": true, "is_default": false, "created_at": "2026-01-01T00:00:00Z",
      "updated_at": "2026-01-01T00:00:00Z"}]}"""
    (item,) = read_document(raw, Form.JSON)
    assert (item.where, item.entry.name, item.entry.text, item.entry.priority) == (
        "prompts[0]",
        "test_prompt",
        "Тест",
        10,
    )


def test_a_bare_list_is_taken_and_yaml_words_keep_their_meaning() -> None:
    raw = b"- {name: on, lang: no, namespace: '007', tags: [yes, 1.5x], text: 2026-11-21}"
    (item,) = read_document(raw, Form.YAML)
    assert item.entry == Entry(namespace="007", name="on", lang="no", tags=("yes", "1.5x"), text="2026-11-21")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{}", "a list of prompts"),
        (b'{"count": 2, "prompts": []}', "says 2, and 0"),
        (b'{"prompts": [1]}', "prompts[0]"),
        (b'{"prompts": [{"name": "a", "text": "b"}, {"name": "c"}]}', "prompts[1]: c: "),
        (b'{"prompts": [{"name": "a", "text": "b", "tag": []}]}', "tag"),
        (b'{"prompts": [{"name": "a", "text": ""}]}', "prompts[0].text: default/a.en"),
        (b'{"prompts": [{"name": "a", "text": "b", "is_active": false, "is_default": true}]}', "prompts[0].is_default"),
    ],
)
def test_an_item_that_is_wrong_is_named_in_json_and_in_yaml(raw: bytes, why: str) -> None:
    for form in (Form.JSON, Form.YAML):
        with pytest.raises(BadImport) as caught:
            read_document(raw, form)
        assert why in caught.value.detail


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("a: &x [1]\nb: *x", "line 1: anchors"),
        ("&x a: 1", "anchors"),
        ("- !!python/object/apply:os.system [ls]", "tags"),
        ("- !!binary aGk=", "tags"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        ("a: 1\n---\nb: 2", "more than one"),
        ("? [a]\n: b", "a key must be a word"),
        ("[" * 30 + "]" * 30, "too deep"),
        ("[" * 100_000, "too deep"),
        ("a: 'b", "not YAML"),
        ("a:\n\t- b", "not YAML"),
        ("\x07", "not YAML"),
    ],
)
def test_yaml_that_could_do_harm_is_refused(raw: str, why: str) -> None:
    with pytest.raises(Malformed, match=re.escape(why)):
        read_yaml(raw)


def test_a_billion_laughs_are_not_laughed() -> None:
    lines = [
        "a: &a [lol, lol]",
        *(f"{new}: &{new} [*{old}, *{old}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
    with pytest.raises(Malformed, match="anchors"):
        read_yaml("\n".join(lines))


SCALARS = (
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
)


@given(
    value=st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
    )
)
def test_yaml_gives_back_what_it_was_given(value: Any) -> None:
    assert read_yaml(write_yaml({"value": value, "text": value}, literals=["text"])) == {"value": value, "text": value}


@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), form=st.sampled_from(Form))
def test_no_bytes_do_more_than_be_refused(raw: bytes, form: Form) -> None:
    with suppress(BadImport, Malformed):
        read_document(raw, form)
