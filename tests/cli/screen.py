"""What one sees at a terminal in which fmsh runs."""

from __future__ import annotations

import re

import pexpect
import pyte

from tests.cli.shell import TIMEOUT_S, Shell, until


class Screen:
    """fmsh at a terminal of 24 lines, and what one sees there."""

    def __init__(self, shell: Shell, *arguments: str, columns: int = 80, **environment: str) -> None:
        self.child = shell.terminal(*arguments, dimensions=(24, columns), TERM="xterm-256color", **environment)
        self._screen = pyte.Screen(columns, 24)
        self._stream = pyte.Stream(self._screen)
        self.written = ""  # all that came, with what a terminal obeys

    def see(self, pattern: str, *, timeout_s: float = TIMEOUT_S) -> str:
        """Waits until the screen shows a pattern; gives all of it."""
        try:
            until(lambda: re.search(pattern, self._shown(), re.MULTILINE), pattern, timeout_s=timeout_s)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; the screen shows\n{self._shown()}") from None
        return self._shown()

    def _shown(self) -> str:
        try:
            data = self.child.read_nonblocking(65536, timeout=0)
            self.written += data
            *asked, rest = data.split("\x1b[6n")
            for before in asked:  # where is the cursor?
                self._stream.feed(before)
                self.child.send(f"\x1b[{self._screen.cursor.y + 1};{self._screen.cursor.x + 1}R")
            self._stream.feed(rest)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def style_at(self, text: str) -> tuple[str, bool]:
        """The colour and the underline of the first character of a text on the screen, of the lowest of several."""
        for row, line in reversed([*enumerate(self._screen.display)]):
            if text in line:
                cell = self._screen.buffer[row][line.index(text)]
                return cell.fg, cell.underscore
        raise AssertionError(f"{text!r} is not on the screen")

    def type(self, text: str) -> None:
        self.child.send(text)

    def resize(self, *, lines: int, columns: int) -> None:
        self._screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)
