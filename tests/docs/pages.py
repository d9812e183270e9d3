"""Pages of documentation whose examples are run.

A fenced block of `fmsh` or `bash` is a program; a `text` block that follows it is what it shows: what it displays, then
its error. One without such a block shows nothing. A comment before a program says more of it, one line a part:

    <!-- example
    status 2
    deliver 1 {"status": "passed"}
    args api
    show-only
    -->

`show-only`: the program is checked but not run, for it waits for people, days, or services that a test does not have.
Each program runs in a directory of its own with the FILES; `https://ci.local` is a service that runs beside the tests.
`python -m tests.docs.pages docs/…` lays programs out and writes what they show; read the difference before you keep it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fmsh import wire
from fmsh.connectors.http_request import HttpConnector
from fmsh.engine.loop import Loop
from fmsh.errors import SourceError
from fmsh.lang.formatter import format_program
from fmsh.render.diagnostics import render
from fmsh.render.errors import render_error
from fmsh.spans import Source
from fmsh.values import ErrorValue, Secret
from tests.docs.service import Service
from tests.test_transcripts import SCRIPT, Case, Run

DOCS = Path(__file__).resolve().parents[2] / "docs"
SERVICE = "https://ci.local"
FILES = {
    "access.log": "GET /a 200\\nGET /b 404\\nPOST /a 201\\nGET /c 500\\n",
    "people.csv": "name,team,age\\nAda,core,36\\nBo,web,29\\nCy,core,41\\n",
    "config.json": '{"port": 8080, "hosts": ["a", "b"]}\\n',
    "notes.txt": "first\\nsecond\\nthird\\n",
    "old name.txt": "x\\n",
    "lib.fmsh": 'def hello(name) { echo "hello $name" }\\n',
}


class Example:
    """A program of a page, at a line of it. `shown` is what the page says that it shows."""

    def __init__(self, language: str, line: int, options: dict[str, str]) -> None:
        self.language = language
        self.line = line
        self.options = options
        self.program = ""
        self.shown = ""
        self.has_text = False

    @property
    def status(self) -> int:
        return int(self.options.get("status", "0"))


class Page:
    """The lines of a page, and the examples in it; an example stands in the place of its blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: list[str | Example] = []
        self._read(path.read_text(encoding="utf-8").splitlines())

    @property
    def examples(self) -> list[Example]:
        return [part for part in self.parts if isinstance(part, Example)]

    def _read(self, lines: list[str]) -> None:
        options: dict[str, str] = {}
        at = 0
        while at < len(lines):
            line = lines[at]
            if line == "<!-- example":
                end = lines.index("-->", at)
                options = {name: text for name, _, text in (each.partition(" ") for each in lines[at + 1 : end])}
                self.parts += lines[at : end + 1]
                at = end
            elif line in ("```fmsh", "```bash"):
                example = Example(line[3:], at + 1, options)
                options = {}
                end = lines.index("```", at)
                example.program = "\n".join(lines[at + 1 : end]) + "\n"
                self.parts.append(example)
                at = end
                if lines[at + 1 : at + 2] == ["```text"]:
                    end = lines.index("```", at + 2)
                    example.shown = "".join(f"{each}\n" for each in lines[at + 2 : end])
                    example.has_text = True
                    at = end
            else:
                self.parts.append(line)
            at += 1

    def write(self) -> None:
        text = ""
        for part in self.parts:
            if isinstance(part, str):
                text += f"{part}\n"
                continue
            text += f"```{part.language}\n{part.program}```\n"
            if part.shown or part.has_text:
                text += f"```text\n{part.shown}```\n"
        self.path.write_text(text, encoding="utf-8")


def pages() -> list[Page]:
    return [Page(path) for path in sorted(DOCS.glob("*.md")) if "```fmsh\n" in path.read_text(encoding="utf-8")]


# ---- Running


def run(example: Example, service: Service) -> tuple[str, int]:
    """Runs a program; gives what it shows, in whole lines, and its exit status."""
    shown, status = _run_bash(example) if example.language == "bash" else _run_fmsh(example, service)
    return shown if not shown or shown.endswith("\n") else f"{shown}\n", status


def _run_fmsh(example: Example, service: Service) -> tuple[str, int]:
    case = Case(f"line {example.line}")
    case.program = example.program.replace(SERVICE, service.url)
    case.parts = {name: text.replace(" ", "\n") if name == "args" else text for name, text in example.options.items()}
    case.parts["files"] = "\n".join(f"{name}: {text}" for name, text in FILES.items())
    with tempfile.TemporaryDirectory() as directory:
        ran = _RunWithHttp(case, directory)
        ran.begin()
        try:
            ran.start()
            ran.run_on()
            shown, status = _outcome(ran)
        except SourceError as problem:
            shown, status = render(problem.diagnostics, color=False), 2
        finally:
            ran.die()
        return shown.replace(ran.work, "/here").replace(service.url, SERVICE), status


class _RunWithHttp(Run):
    def connectors(self, loop: Loop) -> dict[str, Any]:
        return super().connectors(loop) | {"http": HttpConnector(str, lambda: lambda text: Secret((text,)))}


def _outcome(ran: Run) -> tuple[str, int]:
    outcome, job = ran.outcome(), ran.store.job(1)
    assert job is not None
    shown = outcome["out"]
    error = None if job.error_json is None else wire.decode(job.error_json)
    if isinstance(error, ErrorValue):
        return shown + render_error(error, {SCRIPT: ran.source}, color=False), int(outcome["status"])
    return shown + outcome["err"], int(outcome["status"])


def _run_bash(example: Example) -> tuple[str, int]:
    with tempfile.TemporaryDirectory() as directory:
        for name, text in FILES.items():
            (Path(directory) / name).write_text(text.encode().decode("unicode_escape"))
        done = subprocess.run(
            ["bash", "-c", example.program, "bash", *example.options.get("args", "").split()],
            cwd=directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": directory},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return (done.stdout + done.stderr).replace(directory, "/here"), done.returncode


def laid_out(program: str) -> str:
    """Gives the layout of a program; one with a syntax error stays as it is."""
    try:
        return format_program(Source("t", program))
    except SourceError:
        return program


def main(names: list[str]) -> None:
    service = Service()
    for name in names:
        page = Page(Path(name))
        for example in page.examples:
            if example.language == "fmsh":
                example.program = laid_out(example.program)
            if "show-only" not in example.options:
                example.shown, status = run(example, service)
                if status != example.status:
                    print(f"{name}:{example.line}: status {status}\n{example.program}{example.shown}")
        page.write()
    service.close()


if __name__ == "__main__":
    main(sys.argv[1:])
