"""From options to a call, or to a conversation."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from samovar.app.settings import Settings, load
from samovar.cli.chat.calling import Answer, Message, Server, ask
from samovar.cli.output import CannotDo, harmless, note, say_json

_FALLBACK_MODEL: Final = "sandbox/echo"
_HELP: Final = (
    "/model NAME changes the model, /new forgets what was said, /exit (or Ctrl-D) ends. Ctrl-C ends an answer."
)


def chat(
    *, model: str | None, prompt: str | None, system: str | None, as_json: bool, url: str | None, key: str | None
) -> None:
    """One answer where there is a prompt (standard input through a pipe is one), else a conversation."""
    settings = load()
    if model is not None and prompt is None and len(model.split()) > 1:
        # No model's name has a blank in it.
        model, prompt = None, model
    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
        if not prompt.strip():
            raise CannotDo("nothing to say: give a prompt, or text on standard input")
    if prompt is None and as_json:
        raise CannotDo("--json prints one answer: give a prompt, or text on standard input")
    server = _server(settings, url, key)
    said = [Message("system", system)] if system else []
    model = model or settings.default_model or _FALLBACK_MODEL
    if prompt is None:
        return _Conversation(server, model, said).run()
    return _once(server, model, [*said, Message("user", prompt)], as_json=as_json)


def _server(settings: Settings, url: str | None, key: str | None) -> Server:
    if not key:
        raise CannotDo(
            "a call needs a key. `samovar keys create NAME` prints one; then `export SAMOVAR_KEY=sk-samovar-...`,"
            " or give it with --key"
        )
    ca_pem = None if settings.ca_file is None else settings.ca_file.read_bytes()
    return Server(url or settings.url, key, ca_pem)


def _once(server: Server, model: str, messages: Sequence[Message], *, as_json: bool) -> None:
    answer = Answer(model)
    heard = _nothing if as_json else _printer()
    try:
        asyncio.run(ask(server, answer, messages, heard))
    except KeyboardInterrupt:
        raise CannotDo("interrupted; the call is cancelled") from None
    finally:
        if answer.text and not as_json:
            heard("\n")
    if as_json:
        return say_json(msgspec.structs.asdict(answer))
    return note(_figures(answer))


class _Conversation:
    """What was said so far, and the model it is said to."""

    def __init__(self, server: Server, model: str, said: list[Message]) -> None:
        self._server = server
        self._model = model
        self._beginning = tuple(said)
        self._said = said
        self._ended = False

    def run(self) -> None:
        """Until ``/exit`` or the end of input."""
        # Loaded for its effect: `input` then edits the line and remembers former ones.
        import readline  # noqa: F401

        note(f"Talking to {self._model}. {_HELP}")
        while not self._ended:
            try:
                line = input("> ").strip()
            except EOFError:
                note("")
                return
            except KeyboardInterrupt:
                note("\n/exit or Ctrl-D ends.")
                continue
            if line.startswith("/"):
                self._obey(line)
            elif line:
                self._answer(line)

    def _obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word in ("/exit", "/quit"):
            self._ended = True
        elif word == "/new":
            self._said = list(self._beginning)
        elif word == "/model":
            self._model = rest.strip() or self._model
            note(f"Talking to {self._model}.")
        else:
            note(_HELP)

    def _answer(self, line: str) -> None:
        answer = Answer(self._model)
        asked = [*self._said, Message("user", line)]
        heard = _printer()
        try:
            asyncio.run(ask(self._server, answer, asked, heard))
            heard("\n")
            note(_figures(answer))
        except KeyboardInterrupt:
            note("\nInterrupted; the call is cancelled.")
        except CannotDo as error:
            note(f"\n{harmless(str(error))}" if answer.text else harmless(str(error)))
        if answer.text:
            # An answer cut short was heard all the same; one that never began leaves no question hanging.
            self._said = [*asked, Message("assistant", answer.text)]


def _printer() -> Callable[[str], None]:
    on_terminal = sys.stdout.isatty()

    def heard(text: str) -> None:
        sys.stdout.write(harmless(text) if on_terminal else text)
        sys.stdout.flush()

    return heard


def _nothing(text: str) -> None:
    pass


def _figures(answer: Answer) -> str:
    tokens = "tokens unknown"
    if answer.input_tokens is not None:
        tokens = f"{answer.input_tokens} tokens in, {answer.output_tokens} out"
    cost = "cost unknown" if answer.cost_credits in (None, "unknown") else f"{answer.cost_credits} credits"
    first = "" if answer.first_token_s is None else f", first token after {_span(answer.first_token_s)}"
    return f"[{answer.model}: {tokens}, {cost}, {_span(answer.total_s)}{first}]"


def _span(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
