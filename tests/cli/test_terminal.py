"""What terminals do to the prompt, and what is done to them: sizes, resizing, no cursor, hostile text."""

from __future__ import annotations

import re
import sys

from tests.cli.screen import Screen
from tests.cli.shell import Shell

SIZES = """
import os, signal
def tell(*_):
    print("size", *os.get_terminal_size(), flush=True)
signal.signal(signal.SIGWINCH, tell)
tell()
input()
"""


def test_a_program_in_the_foreground_hears_of_a_new_size_and_the_prompt_has_it_afterwards(shell: Shell) -> None:
    (shell.directory / "sizes.py").write_text(SIZES)
    at = Screen(shell)
    at.see("~ >")
    at.type(f"{sys.executable} sizes.py\r")
    at.see("^size 80 24$")
    at.resize(lines=30, columns=100)
    at.see("^size 100 30$")
    at.type("\r")
    at.see(r"^\n~ >$|^~ >$")
    at.type("echo " + "x" * 90)
    at.see("^~ > echo x{90}$")  # in one line


def test_the_prompt_is_drawn_anew_for_another_size(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("echo " + "y" * 60)
    at.see("^~ > echo y{60}$")
    at.resize(lines=24, columns=40)
    at.see(r"y{20,}\n.*y{10,}")
    at.type("\x15echo $(tput cols)\r")
    at.see("^40$")


def test_what_comes_from_afar_does_nothing_to_the_terminal(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type(r"let x = (printf '\033[31mred\033[m \033]0;evil\007\033[2J\033[20;1Hend')" + "\r")
    at.see(r"end'\)\n~ >")
    at.type("$x\r")
    at.see(re.escape(r"red \u{1b}]0;evil\u{7}\u{1b}[2J\u{1b}[20;1Hend") + r"\n~ >$")
    assert at.style_at("red \\u") == ("red", False)
    at.type("fail $x\r")
    at.see(r"error: .*evil\\u\{7\}")


def test_forty_columns(shell: Shell) -> None:
    at = Screen(shell, columns=40)
    at.see("~ >")
    at.type("[{name: one, about: 'a text that is much too long for a line'}]\r")
    shown = at.see(r"^one +a text .*…$")
    assert all(len(line) <= 40 for line in shown.splitlines())
    at.type("GET http://127.0.0.1:1/ --retry 0\r")
    at.see(r"^error")
    at.type("kubectl get po\t")
    at.see(r"get pods$")
