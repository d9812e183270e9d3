"""Walks through `tour.md` at a real fmsh in a real terminal, and makes the pictures that stand in it.

    python docs/pictures.py            checks that each step shows what the page says, and makes the pictures anew
    python docs/pictures.py --check    only checks, the pictures too

A block of `console` is typed line by line: what stands behind a prompt is typed, what stands below must be shown. A
block of `fmsh` that begins with `# NAME.fmsh` is written to that file. What a block needs more of stands in a comment
before it, one line a part:

    <!-- step
    terminal 2             in another terminal than the first
    resume                 after the shell of the terminal was killed, in `fmsh --resume`
    clear                  on an empty screen
    hold                   the services stand still behind this step, up to one with `go`: what it begins stays as it is
    varies                 its picture is another one each time, and is not compared
    keys TEXT              typed instead of the last line's end: \\t is Tab, \\x12 is Ctrl-R
    until TEXT             then wait until the screen shows it; a line that still runs goes on in the next block of
                           its terminal, above the first prompt of which the last lines stand that it shows
    -->

`![…](pictures/NAME.svg)` is a picture of the terminal of the step before. Times, processes and ports differ from run to
run; they are not compared. Numbers of jobs, lines and columns are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape, unescape
from pathlib import Path

import pexpect
import pyte

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGE = DOCS / "tour.md"
COLUMNS, ROWS = 80, 24
TIMEOUT_S = 60.0
PROMPT = re.compile(r"^~\S*(?: \d+s)?(?: \[\d+\])? > ?")
CLEAR = "\x0c"  # Ctrl-L
LEAVE_LINE = "\x07\x15"  # Ctrl-G, Ctrl-U
PORTS = ("8101", "8102", "8103")  # on the page; those of a run are free ones
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 10
COLORS = {
    "default": "#d8dee9", "black": "#3b4252", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341",
    "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#e5e9f0", "brightblack": "#8b949e",
}  # fmt: skip
BACKGROUND = "#0d1117"


class Terminal:
    """fmsh at a terminal, and what one sees there."""

    def __init__(self, directory: Path, environment: dict[str, str], *arguments: str) -> None:
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=2000)
        self._stream = pyte.Stream(self.screen)
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "fmsh", *arguments],
            cwd=str(directory),
            env=environment,
            encoding="utf-8",
            dimensions=(ROWS, COLUMNS),
        )

    def type(self, text: str) -> None:
        self._child.send(text)

    def close(self) -> None:
        self._child.close(force=True)

    def kill(self) -> None:
        self._child.kill(signal.SIGKILL)
        self._child.wait()
        self.close()

    def read(self) -> None:
        """Takes in what the terminal has been told since."""
        try:
            data = self._child.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            time.sleep(0.05)
            return
        *asked, rest = data.split("\x1b[6n")
        for before in asked:  # where is the cursor?
            self._stream.feed(before)
            self.type(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")
        self._stream.feed(rest)

    def lines(self) -> list[str]:
        """All lines so far, those that have left the screen at the top, too; without the toolbar."""
        rows = [*self.screen.history.top, *(self.screen.buffer[y] for y in range(self.screen.cursor.y + 1))]
        return ["".join(row[x].data for x in range(self.screen.columns)).rstrip() for row in rows]

    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def clear(self) -> None:
        self.type(CLEAR)
        self._wait(lambda: self.screen.cursor.y == 0 and PROMPT.match(self.screen.display[0]), "an empty screen")

    def wait_for(self, text: str) -> None:
        self._wait(lambda: mask(text) in mask(self.shown()), f"the screen to show {text!r}")

    def wait_for_prompt(self, after: int) -> list[str]:
        """Waits for a prompt below a line; gives what stands between."""
        self._wait(lambda: len(self.lines()) > after and bool(re.fullmatch(PROMPT, f"{self.lines()[-1]} ")), "a prompt")
        return self.lines()[after:-1]

    def _wait(self, condition: object, what: str) -> None:
        assert callable(condition)
        give_up_at = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() > give_up_at:
                raise SystemExit(f"waited {TIMEOUT_S:.0f} s for {what}; the screen shows\n{self.shown()}")
            self.read()


# ---- Pictures


def picture(screen: pyte.Screen) -> str:
    """A screen as SVG: the rows that hold something, cell by cell in their colours."""
    rows = max((y for y, line in enumerate(screen.display) if line.strip()), default=0) + 1
    width, height = screen.columns * CELL_WIDTH + 2 * MARGIN, rows * CELL_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">',
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
    ]
    for y in range(rows):
        for x, text, cell in _runs(screen, y):
            parts += _drawn(x, y, text, cell)
    return "\n".join([*parts, "</svg>", ""])


def _runs(screen: pyte.Screen, y: int) -> Iterator[tuple[int, str, pyte.screens.Char]]:
    """The texts of a row that look alike, each with the column where it begins."""
    begin, text = 0, ""
    for x in range(screen.columns + 1):
        cell = screen.buffer[y][x] if x < screen.columns else None
        before = screen.buffer[y][begin]
        if cell is None or cell._replace(data="") != before._replace(data=""):
            if text.strip() or before.reverse or before.bg != "default":
                yield begin, text, before
            begin, text = x, ""
        text += cell.data if cell is not None else ""


def _drawn(x: int, y: int, text: str, cell: pyte.screens.Char) -> list[str]:
    color, ground = _color(cell.fg, COLORS["default"]), _color(cell.bg, BACKGROUND)
    if cell.reverse:
        color, ground = ground, color
    left, top = MARGIN + x * CELL_WIDTH, MARGIN + y * CELL_HEIGHT
    width = len(text) * CELL_WIDTH
    parts = []
    if ground != BACKGROUND:
        parts.append(f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{CELL_HEIGHT}" fill="{ground}"/>')
    style = ' font-weight="bold"' * cell.bold + ' font-style="italic"' * cell.italics
    style += ' text-decoration="underline"' * cell.underscore
    place = f'x="{left:g}" y="{top + 14:g}" textLength="{width:g}"'
    return [*parts, f'<text {place} fill="{color}"{style}>{escape(text, quote=False)}</text>']


def _color(name: str, default: str) -> str:
    if name == "default":
        return default
    return COLORS.get(name) or COLORS.get(name.removeprefix("bright")) or f"#{name}"


def text_of(svg: str) -> str:
    """What a picture shows, as far as it is the same in each run."""
    return mask(" ".join(unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)))


def mask(text: str) -> str:
    """A text without what differs from run to run."""
    text = re.sub(r"\s+", " ", re.sub(r"/cb/[\w-]+", "/cb/…", text))
    text = re.sub(r"(~/tour) \d+s", r"\1", text)  # in a prompt, if the line took long
    text = re.sub(r"\d\d:\d\d:\d\d(\.\d+)?|\b\d+(\.\d+)?( ?(ms|s|m|h))+\b", "TIME", text)
    return re.sub(r"(process |127\.0\.0\.1:)\d+", r"\1N", text)


# ---- The steps of the page


def blocks(text: str) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """What there is to do: `console` and `fmsh` with their options and lines, `picture` with its path."""
    lines = text.splitlines()
    options: dict[str, str] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        if line == "<!-- step":
            end = lines.index("-->", at)
            options = {name: rest for name, _, rest in (each.partition(" ") for each in lines[at + 1 : end])}
            at = end
        elif line in ("```console", "```fmsh"):
            end = lines.index("```", at)
            yield line[3:], options, lines[at + 1 : end]
            options, at = {}, end
        elif found := re.fullmatch(r"!\[.*\]\((pictures/.*\.svg)\)", line):
            yield "picture", {}, [found[1]]
        at += 1


class Walk:
    """One walk through the page. `problems` are what it found wrong."""

    def __init__(
        self, directory: Path, environment: dict[str, str], ports: dict[str, str], services: subprocess.Popen[str]
    ) -> None:
        self.directory = directory
        self.services = services
        self.environment = environment
        self.ports = ports
        self.problems: list[str] = []
        self.pictures: dict[str, str] = {}
        self.varying: set[str] = set()
        self.terminals: dict[str, Terminal] = {}
        self._last = "1"
        self._varies = False
        self._is_line_begun = False
        self._begun: dict[str, int] = {}  # the line at which a line that goes on was typed, by terminal

    def do(self, kind: str, options: dict[str, str], lines: list[str]) -> None:
        if kind == "fmsh":
            (self.directory / lines[0].removeprefix("# ").partition(":")[0]).write_text(
                self._here("\n".join(lines) + "\n")
            )
        elif kind == "picture":
            if self._varies:
                self.varying.add(lines[0])
            self.pictures[lines[0]] = self._there(picture(self.terminals[self._last].screen))
        else:
            self._last, self._varies = options.get("terminal", "1"), "varies" in options
            if "go" in options:
                self.services.send_signal(signal.SIGCONT)
            if "resume" in options:
                self.terminals.pop(self._last).kill()
            self._type(self._terminal(self._last, *["--resume"] * ("resume" in options)), lines, options)
            if "hold" in options:
                self.services.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        for terminal in self.terminals.values():
            terminal.close()

    def _terminal(self, name: str, *arguments: str) -> Terminal:
        if name not in self.terminals:
            self.terminals[name] = Terminal(self.directory, self.environment, *arguments)
            self.terminals[name].wait_for_prompt(0)
        return self.terminals[name]

    def _type(self, terminal: Terminal, lines: list[str], options: dict[str, str]) -> None:
        if self._is_line_begun:
            terminal.type(LEAVE_LINE)
            self._is_line_begun = False
        if "clear" in options:
            terminal.clear()
        if self._last in self._begun:
            shown = [self._there(line) for line in terminal.wait_for_prompt(self._begun.pop(self._last))]
            first = next((number for number, line in enumerate(lines) if PROMPT.match(line)), len(lines))
            self._compare("(what goes on)", ["…", *lines[:first]], shown)
        typed = [number for number, line in enumerate(lines) if PROMPT.match(line)]
        for number, end in zip(typed, [*typed[1:], len(lines)], strict=True):
            text = self._here(PROMPT.sub("", lines[number]))
            if "keys" in options and end == len(lines):
                terminal.type(text + options["keys"].encode().decode("unicode_escape"))
                terminal.wait_for(options["until"])
                self._is_line_begun = True
                continue
            after = len(terminal.lines()) + (len(text) + len(terminal.lines()[-1])) // COLUMNS
            terminal.type(text + "\r")
            if "until" in options and end == len(lines):
                terminal.wait_for(options["until"])
                self._begun[self._last] = after
                continue
            shown = [self._there(line) for line in terminal.wait_for_prompt(after)]
            self._compare(lines[number], lines[number + 1 : end], shown)

    def _compare(self, line: str, expected: list[str], shown: list[str]) -> None:
        wanted, found = mask("\n".join(expected)).strip(), mask("\n".join(shown)).strip()
        pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
        if not re.fullmatch(pattern, found):
            self.problems.append(
                f"{line}\n--- the page says\n" + "\n".join(expected) + "\n--- it shows\n" + "\n".join(shown)
            )

    def _here(self, text: str) -> str:
        for port, free in self.ports.items():
            text = text.replace(port, free)
        return text

    def _there(self, text: str) -> str:
        for port, free in self.ports.items():
            text = text.replace(free, port)
        return text


@contextmanager
def walk() -> Iterator[Walk]:
    """A directory with nothing in it, the services of the example, and a state of our own, which end with it."""
    with tempfile.TemporaryDirectory(prefix="fmsh-tour-") as name:
        home = Path(name)
        (home / "tour").mkdir()
        (home / "bin").mkdir()
        (home / "bin" / "fmsh").write_text(f'#!/bin/sh\nexec {sys.executable} -m fmsh "$@"\n')
        (home / "bin" / "fmsh").chmod(0o755)
        kept = {name: text for name, text in os.environ.items() if not name.startswith("FMSH_") and name != "NO_COLOR"}
        environment = kept | {
            "HOME": name, "PATH": f"{home}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "TERM": "xterm-256color",
            "FMSH_STATE_DIR": f"{name}/s", "FMSH_RUNTIME_DIR": f"{name}/r", "FMSH_CONFIG_DIR": f"{name}/c", "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        command = [sys.executable, str(ROOT / "examples" / "release" / "services.py"), "--delay", "1.5", "--think", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as services:
            assert services.stdout is not None
            addresses = json.loads(services.stdout.readline())
            free = [address.rpartition(":")[2] for address in addresses.values()]
            walking = Walk(home / "tour", environment, dict(zip(PORTS, free, strict=True)), services)
            try:
                yield walking
            finally:
                walking.close()
                fmsh = [sys.executable, "-m", "fmsh"]
                subprocess.run([*fmsh, "daemon", "stop"], env=environment, capture_output=True, cwd=name)
                services.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare the pictures, and write none")
    arguments = parser.parse_args()
    with walk() as walking:
        for kind, options, lines in blocks(PAGE.read_text(encoding="utf-8")):
            walking.do(kind, options, lines)
        problems, pictures, varying = walking.problems, walking.pictures, walking.varying
    for name, svg in pictures.items():
        path = DOCS / name
        if not arguments.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(svg, encoding="utf-8")
        elif not path.exists() or (name not in varying and text_of(path.read_text(encoding="utf-8")) != text_of(svg)):
            problems.append(f"{name} is not what the terminal shows now: run docs/pictures.py")
    print("\n\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
