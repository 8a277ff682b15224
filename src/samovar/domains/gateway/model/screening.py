"""What the rules of a key's guard look at in a call: everything that is said, in words or as JSON.

Left alone are what is no text (pictures, sound, PDF), web addresses, names of models and tools, ids, and what is
sealed (signatures, encrypted reasoning). Reasoning whose words were redacted, and a call of a tool whose arguments were,
loses its signature: it would not fit.
"""

from typing import Final

from msgspec.structs import replace

from samovar.domains.gateway.errors import GuardBlocked
from samovar.domains.gateway.model.guard import GrowingText, Screen
from samovar.domains.gateway.model.text_files import readings
from samovar.ports.dialect import BadAnswer
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    ChatRequest,
    ChatResponse,
    Delta,
    Failed,
    Media,
    Message,
    Opaque,
    Part,
    PartClosed,
    PartOpened,
    Reasoning,
    Refusal,
    SignatureDelta,
    Stopped,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolResult,
)

MAX_ARGUMENTS_CHARS: Final = 4 * 1024 * 1024
"""Arguments of a tool are ruled once they are whole. More than this is not waited for: the stream fails."""


def screened_request(request: ChatRequest, screen: Screen) -> ChatRequest:
    """The very request where nothing is redacted. Raises ``GuardBlocked``."""
    messages = tuple([_message(message, screen) for message in request.messages])
    tools = tuple([_tool(tool, screen) for tool in request.tools])
    extensions = {name: screen.raw(raw) for name, raw in request.extensions.items()}
    hints = {name: screen.raw(raw) for name, raw in request.hints.items()}
    stop = tuple([screen.text(word) for word in request.stop])
    user = None if request.user is None else screen.text(request.user)
    metadata = None if request.metadata is None else screen.raw(request.metadata)
    output = request.output
    if output is not None and output.schema is not None:
        output = replace(output, schema=screen.raw(output.schema))
    if output is not None and output.name is not None:
        screen.name(output.name)
    if output is not None and output.description is not None:
        output = replace(output, description=screen.text(output.description))
    changed = replace(
        request,
        messages=messages,
        tools=tools,
        extensions=extensions,
        hints=hints,
        stop=stop,
        user=user,
        metadata=metadata,
        output=output,
    )
    return request if changed == request else changed


def screened_response(response: ChatResponse, screen: Screen) -> ChatResponse:
    """As :func:`screened_request`, for a whole answer."""
    return replace(response, parts=tuple([_part(part, screen) for part in response.parts]))


def screened_inputs(inputs: tuple[str, ...], screen: Screen) -> tuple[str, ...]:
    """Texts to be embedded. Raises ``GuardBlocked``."""
    return tuple([screen.text(item) for item in inputs])


def _message(message: Message, screen: Screen) -> Message:
    parts = tuple([_part(part, screen) for part in message.parts])
    name = None if message.name is None else screen.text(message.name)
    return replace(message, parts=parts, name=name)


def _tool(tool: Tool, screen: Screen) -> Tool:
    return replace(
        tool,
        description=None if tool.description is None else screen.text(tool.description),
        schema=None if tool.schema is None else screen.raw(tool.schema),
    )


def _part(part: Part, screen: Screen) -> Part:
    match part:
        case Text():
            notes = None if part.annotations is None else screen.raw(part.annotations)
            return replace(part, text=screen.text(part.text), annotations=notes)
        case Refusal():
            return replace(part, text=screen.text(part.text))
        case Reasoning():
            text = screen.text(part.text)
            return part if text == part.text else replace(part, text=text, signature=None)
        case ToolCall():
            return _called(part, screen.json(part.arguments))
        case ToolResult():
            return replace(part, content=tuple([_content(inner, screen) for inner in part.content]))
        case Opaque():
            return replace(part, raw=screen.raw(part.raw))
        case Media():
            return _media(part, screen)


def _called(call: ToolCall, arguments: str) -> ToolCall:
    if arguments == call.arguments:
        return call
    return replace(call, arguments=arguments, signature=None)


def _content(part: Text | Media, screen: Screen) -> Text | Media:
    found = _part(part, screen)
    assert isinstance(found, Text | Media)
    # Many tools answer in JSON, and some vendors' results are JSON that we carry as a text.
    if isinstance(part, Text) and "\\" in part.text and part.text.lstrip()[:1] in ("{", "[", '"'):
        return replace(found, text=screen.escaped(part.text))
    return found


def _media(media: Media, screen: Screen) -> Media:
    name = None if media.filename is None else screen.text(media.filename)
    named = media if name == media.filename else replace(media, filename=name)
    content = media.base64
    if content is None and media.url is not None and media.url[:5].lower() == "data:":
        content = media.url
    if content is None:
        return named
    for file in readings(content, media_type=media.media_type, name=media.filename):
        ruled = screen.text(file.text)
        if ruled is not file.text:
            return replace(named, base64=file.written(ruled), url=None, media_type=file.media_type or media.media_type)
    return named


class ScreenedStream:
    """The deltas of one answer under rules. Words go out as :class:`GrowingText` lets them, the arguments of a tool when they
    are whole (and the call itself, where a signature goes with them), and the signature of a part after its words."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._words: dict[int, GrowingText] = {}
        self._arguments: dict[int, list[str]] = {}
        self._signed: dict[int, ToolCall] = {}
        self._chars = 0
        self._signatures: dict[int, list[SignatureDelta]] = {}
        self.last: list[Delta] = []

    def pass_on(self, delta: Delta) -> list[Delta]:
        """What goes out now. Raises ``GuardBlocked``; :attr:`last` is what may go out before it."""
        self.last = []
        match delta:
            case TextDelta():
                self._feed(delta.index, delta.text)
            case ArgumentsDelta():
                self._keep(delta)
            case SignatureDelta():
                self._signatures.setdefault(delta.index, []).append(delta)
            case AnnotationDelta():
                self.last.append(AnnotationDelta(delta.index, self._screen.raw(delta.raw)))
            case PartOpened():
                self._open(delta)
            case PartClosed():
                self._close(delta.index)
                self.last.append(delta)
            case Stopped():
                self._close_all()
                self.last.append(delta)
            case Failed():
                # What was held back is not known to be fit for the caller, and the answer is broken anyway.
                self._forget()
                self.last.append(delta)
            case _:
                self.last.append(delta)
        return self.last

    def end(self) -> list[Delta]:
        """All that is still held back, of parts that nobody closed. As :meth:`pass_on`."""
        self.last = []
        self._close_all()
        return self.last

    def _close_all(self) -> None:
        for index in sorted(self._words.keys() | self._arguments.keys() | self._signatures.keys()):
            self._close(index)

    def _open(self, delta: PartOpened) -> None:
        part = delta.part
        if isinstance(part, Text | Refusal | Reasoning):
            self._words[delta.index] = GrowingText(self._screen)
            self.last.append(PartOpened(delta.index, self._unsaid(delta.index, part)))
            if part.text:
                self._feed(delta.index, part.text)
        elif isinstance(part, ToolCall):
            self._arguments[delta.index] = []
            if part.signature is None:
                self.last.append(PartOpened(delta.index, replace(part, arguments="")))
            else:
                # Whether the signature still fits is known once the arguments are ruled.
                self._signed[delta.index] = part
            if part.arguments:
                self._keep(ArgumentsDelta(delta.index, part.arguments))
        else:
            self.last.append(PartOpened(delta.index, _part(part, self._screen)))

    def _unsaid(self, index: int, part: Text | Refusal | Reasoning) -> Part:
        """The part as it opens: its words and what belongs behind them come later."""
        if isinstance(part, Text) and part.annotations is not None:
            return replace(part, text="", annotations=self._screen.raw(part.annotations))
        if isinstance(part, Reasoning) and part.signature is not None:
            self._signatures[index] = [SignatureDelta(index, part.signature)]
            return replace(part, text="", signature=None)
        return replace(part, text="")

    def _feed(self, index: int, text: str) -> None:
        words = self._words.get(index)
        if words is None:
            words = self._words[index] = GrowingText(self._screen)
        try:
            self._say(index, words.feed(text))
        except GuardBlocked as error:
            self._say(index, error.passed)
            raise

    def _keep(self, delta: ArgumentsDelta) -> None:
        self._chars += len(delta.json)
        if self._chars > MAX_ARGUMENTS_CHARS:
            raise BadAnswer(f"the arguments of the answer's tool calls pass {MAX_ARGUMENTS_CHARS} characters")
        self._arguments.setdefault(delta.index, []).append(delta.json)

    def _close(self, index: int) -> None:
        words, said = self._words.pop(index, None), self._arguments.pop(index, None)
        if words is not None:
            try:
                self._say(index, words.end())
            except GuardBlocked as error:
                self._say(index, error.passed)
                raise
        if said is not None:
            self._call(index, "".join(said))
        fits = words is None or not words.was_redacted
        self.last += [one for one in self._signatures.pop(index, ()) if fits or one.encrypted]

    def _call(self, index: int, said: str) -> None:
        signed, arguments = self._signed.pop(index, None), self._screen.json(said)
        if signed is not None:
            kept = _called(replace(signed, arguments=said), arguments)
            self.last.append(PartOpened(index, replace(kept, arguments="")))
        if arguments:
            self.last.append(ArgumentsDelta(index, arguments))

    def _say(self, index: int, text: str) -> None:
        if text:
            self.last.append(TextDelta(index, text))

    def _forget(self) -> None:
        self._words.clear()
        self._arguments.clear()
        self._signed.clear()
        self._signatures.clear()
