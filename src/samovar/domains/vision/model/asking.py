"""What a caller asks of vision, read from JSON or from the fields of a form; and the call for the gateway that becomes of it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw

from samovar.domains.vision.errors import BadAsk, NoImage, TooManyImages
from samovar.ports.json_requests import UNREADABLE, decode, malformed

MAX_IMAGES: Final = 8
MAX_PROMPT_CHARS: Final = 100_000
MAX_URL_CHARS: Final = 8_192

Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=100_000_000)]
Link: TypeAlias = Annotated[str, Meta(min_length=1)]


class ImageAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of several pictures: exactly one field is set. A ``data:`` URL may stand in either of the first two."""

    image_url: Link | None = None
    image_base64: Link | None = None
    file_id: Word | None = None


class VisionAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a call. ``params`` are further fields of OpenAI's chat API, for the model."""

    provider: Word | None = None
    model: Word | None = None
    prompt: Annotated[str, Meta(min_length=1, max_length=MAX_PROMPT_CHARS)] | None = None
    prompt_id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    prompt_name: Word | None = None
    version: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    label: Word | None = None
    variables: dict[str, Any] | None = None
    namespace: Word | None = None
    lang: Word | None = None
    image_url: Link | None = None
    image_base64: Link | None = None
    file_id: Word | None = None
    images: list[Link | ImageAsk] | None = None
    fetch: bool | None = None
    stream: bool | None = None
    cleanup: bool | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    drop_params: bool | None = None
    params: dict[str, Raw] | None = None


class Address(msgspec.Struct, frozen=True):
    """A picture that stands somewhere on the web. ``where`` is its field."""

    url: str
    where: str


class Encoded(msgspec.Struct, frozen=True):
    """A picture in base64."""

    text: str
    where: str


class Content(msgspec.Struct, frozen=True):
    """A picture as a form brought it."""

    content: bytes
    where: str


class Stored(msgspec.Struct, frozen=True):
    """A picture that is one of the caller's files."""

    file_id: str
    where: str


Given: TypeAlias = Address | Encoded | Content | Stored

_PASSED: Final = ("max_tokens", "temperature", "top_p", "seed", "stop", "drop_params")
# They are said elsewhere in the body, or ask for an answer that is not words.
_NO_PARAMS: Final = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "n",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "modalities",
    }
    | {"audio"}
)
_JSON_FIELDS: Final[Mapping[str, Any]] = MappingProxyType({"variables": dict[str, Any], "params": dict[str, Raw]})
_encode: Final = msgspec.json.Encoder().encode


def read_ask(body: bytes) -> VisionAsk:
    """JSON. Raises ``Malformed`` with the path of the flaw."""
    return decode(body, VisionAsk)


def read_form(fields: Sequence[tuple[str, str]]) -> VisionAsk:
    """The fields of a form that are no files. Raises ``Malformed`` and :class:`BadAsk`."""
    said: dict[str, Any] = {}
    for name, value in fields:
        if name in said:
            raise BadAsk(name, "stands twice in the form")
        try:
            said[name] = msgspec.json.decode(value, type=_JSON_FIELDS[name]) if name in _JSON_FIELDS else value
        except UNREADABLE as error:
            raise malformed(error, where=f"$.{name}") from error
    if "images" in said:
        raise BadAsk("images", "belongs into JSON; in a form send each file as a field `image`")
    try:
        return msgspec.convert(said, VisionAsk, strict=False)
    except msgspec.ValidationError as error:
        raise malformed(error) from error


def check_prompt(ask: VisionAsk) -> None:
    """Raises :class:`BadAsk` where it is not plain which prompt is meant."""
    named = [name for name in ("prompt", "prompt_id", "prompt_name") if getattr(ask, name) is not None]
    if len(named) > 1:
        raise BadAsk(named[1], f"cannot stand beside {named[0]}: the one names what the other says")
    if ask.prompt is not None and (extra := _set(ask, "version", "label", "variables")):
        raise BadAsk(extra[0], "belongs to a prompt of the registry, not to a text")
    if ask.prompt_name is None and (extra := _set(ask, "version", "label")):
        raise BadAsk(extra[0], "needs prompt_name: of which prompt?")
    if ask.version is not None and ask.label is not None:
        raise BadAsk("label", "cannot stand beside version")
    for field in ("prompt_name", "namespace", "lang", "label"):
        # PostgreSQL does not even compare with it.
        if "\0" in (getattr(ask, field) or ""):
            raise BadAsk(field, "holds a NUL character, which no name has")


def _set(ask: VisionAsk, *names: str) -> list[str]:
    return [name for name in names if getattr(ask, name) is not None]


def given_images(ask: VisionAsk, files: Sequence[bytes] = ()) -> tuple[Given, ...]:
    """All pictures of a call, from one to :data:`MAX_IMAGES`. Raises :class:`NoImage`, :class:`TooManyImages`,
    :class:`BadAsk`."""
    found: list[Given] = [Content(content, "image") for content in files]
    found += _of(ImageAsk(image_url=ask.image_url, image_base64=ask.image_base64, file_id=ask.file_id), "")
    for place, one in enumerate(ask.images or ()):
        where = f"images[{place}]"
        if isinstance(one, str):
            found.append(_told(one, where))
            continue
        named = _of(one, f"{where}.")
        if len(named) != 1:
            raise BadAsk(where, "set one of image_url, image_base64 and file_id")
        found += named
    if not found:
        raise NoImage("Send a picture: image_url, image_base64, file_id, images, or in a form a file as `image`.")
    if len(found) > MAX_IMAGES:
        raise TooManyImages(f"The call has {len(found)} images; at most {MAX_IMAGES} are taken.")
    return tuple(found)


def _of(one: ImageAsk, under: str) -> list[Given]:
    found: list[Given] = []
    if one.image_url is not None:
        found.append(_linked(one.image_url, f"{under}image_url"))
    if one.image_base64 is not None:
        found.append(_encoded(one.image_base64, f"{under}image_base64"))
    if one.file_id is not None:
        found.append(Stored(one.file_id, f"{under}file_id"))
    return found


def _told(text: str, where: str) -> Given:
    """An address or base64: no base64 has a colon."""
    return _linked(text, where) if ":" in text[:64] else _encoded(text, where)


def _linked(url: str, where: str) -> Given:
    url = url.strip()
    if url[:5].lower() == "data:":
        return _encoded(url, where)
    if not url[:8].lower().startswith(("http://", "https://")):
        raise BadAsk(where, "must be an http, https or data URL")
    if len(url) > MAX_URL_CHARS:
        raise BadAsk(where, f"has more than {MAX_URL_CHARS} characters")
    return Address(url, where)


def _encoded(text: str, where: str) -> Encoded:
    """What the data URL calls it is not believed anyway."""
    if text.lstrip()[:5].lower() != "data:":
        return Encoded(text, where)
    head, comma, content = text.partition(",")
    if not comma or not head.rstrip().lower().endswith(";base64"):
        raise BadAsk(where, "must be a data URL in base64: data:image/...;base64,...")
    return Encoded(content, where)


def chat_body(ask: VisionAsk, *, model: str, prompt: str, images: Sequence[str], stream: bool) -> bytes:
    """The call in the words of OpenAI's chat API. ``images`` are addresses and ``data:`` URLs. Raises :class:`BadAsk`."""
    parts: list[Mapping[str, Any]] = [{"type": "text", "text": prompt}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in images]
    body: dict[str, Any] = dict(ask.params or {})
    if wrong := sorted(body.keys() & _NO_PARAMS):
        raise BadAsk(f"params.{wrong[0]}", "cannot be set here; /v1/chat/completions takes it")
    body.update({name: value for name in _PASSED if (value := getattr(ask, name)) is not None})
    body.update(model=model, messages=[{"role": "user", "content": parts}], stream=stream)
    if stream:
        body["stream_options"] = {"include_usage": True}
    return _encode(body)


def mark_of(ask: VisionAsk, files: Sequence[bytes]) -> bytes:
    """What tells one form from another: each client draws its boundary anew."""
    return b"\0".join((_encode(ask), *files))
