"""``samovar chat`` against a server that runs."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.cli.conftest import Terminal
from tests.e2e.conftest import Samovar
from tests.support.typed import Done, environment_with


def talk(terminal: Terminal, server: Samovar, *words: str, given: str = "") -> Done:
    """``samovar chat`` with the server's address and key."""
    return terminal.type("chat", *words, settings={"SAMOVAR_URL": server.url, "SAMOVAR_KEY": server.key}, given=given)


def test_an_answer_comes_with_its_tokens_cost_and_times(server: Samovar, terminal: Terminal) -> None:
    done = talk(terminal, server, "sandbox/echo", "Hello, Samovar!")
    assert (done.status, done.out) == (0, "Hello, Samovar!\n")
    # Four characters are a token; 100 and 200 credits a million.
    assert "[sandbox/echo: 4 tokens in, 4 out, 0.0012 credits, " in done.err
    assert "first token after " in done.err


def test_standard_input_is_the_prompt_and_the_default_model_answers(server: Samovar, terminal: Terminal) -> None:
    assert talk(terminal, server, given="from a pipe").out == "from a pipe\n"
    assert talk(terminal, server, "words of a prompt alone").out == "words of a prompt alone\n"


def test_json_tells_the_same(server: Samovar, terminal: Terminal) -> None:
    answer = talk(terminal, server, "sandbox/echo", "Hello, Samovar!", "--json").json()
    assert answer["text"] == "Hello, Samovar!"
    assert (answer["input_tokens"], answer["output_tokens"], answer["cost_credits"]) == (4, 4, "0.0012")
    assert 0 < answer["first_token_s"] <= answer["total_s"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nosuch/model", "x"), "There is no model 'nosuch/model'"),
        (("sandbox/echo", "[[fault:cut at=2]] one two three four"), "broke"),
        (("sandbox/echo", "x", "--key", "sk-samovar-no"), "`samovar keys create NAME` makes one"),
        (("sandbox/echo", "x", "--url", "http://127.0.0.1:9"), "start it with `samovar serve`"),
    ],
    ids=["no such model", "cut in mid-answer", "wrong key", "no server"],
)
def test_a_call_that_fails_says_why_and_ends_with_status_1(
    server: Samovar, terminal: Terminal, words: tuple[str, ...], said: str
) -> None:
    done = talk(terminal, server, *words)
    assert done.status == 1
    assert said in done.err


def test_without_a_key_it_says_where_to_get_one(terminal: Terminal) -> None:
    done = terminal.type("chat", "sandbox/echo", "x")
    assert done.status == 1
    assert "samovar keys create" in done.err


class Screen:
    """A terminal with a ``samovar chat`` in it."""

    def __init__(self, terminal: Terminal, server: Samovar) -> None:
        self._keys, theirs = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "samovar", "chat"],
            cwd=terminal.folder,
            env=environment_with({"SAMOVAR_URL": server.url, "SAMOVAR_KEY": server.key}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Whoever runs the tests in a shell's background has it ignored, and hands that on.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)

    def type(self, line: str) -> None:
        """Write a line and press Enter."""
        self.seen = ""
        os.write(self._keys, line.encode() + b"\n")

    def until(self, text: str) -> str:
        """What appears until ``text`` does."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.seen!r}"
            if select.select([self._keys], [], [], 0.1)[0]:
                self.seen += os.read(self._keys, 65536).decode()
        return self.seen

    def close(self) -> None:
        """Turn it off."""
        self.process.kill()
        self.process.wait(10)
        os.close(self._keys)


@pytest.fixture
def screen(server: Samovar, terminal: Terminal) -> Iterator[Screen]:
    """A conversation that has begun."""
    screen = Screen(terminal, server)
    screen.until("> ")
    yield screen
    screen.close()


def test_a_conversation_keeps_what_was_said_and_changes_its_model(screen: Screen) -> None:
    screen.type("first words")
    assert "[sandbox/echo: 3 tokens in, " in screen.until("first token after")
    screen.type("again")
    # What was said before is sent again: the input grows.
    assert "[sandbox/echo: 7 tokens in, " in screen.until("first token after")
    screen.type("/model sandbox/vision")
    screen.until("Talking to sandbox/vision.")
    screen.type("/exit")
    assert screen.process.wait(10) == 0


def test_ctrl_c_ends_the_answer_and_cancels_the_call_but_not_the_conversation(server: Samovar, screen: Screen) -> None:
    screen.type("[[chunks:600]][[delay_ms:100]] slow words")
    # It shows as it comes, long before the minute that the whole would take.
    screen.until("slow words ")
    screen.process.send_signal(signal.SIGINT)
    screen.until("Interrupted; the call is cancelled.")
    deadline = time.monotonic() + 40
    while 'outcome="cancelled"' not in server.request("GET", "/metrics")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    screen.type("and on")
    screen.until("first token after")
