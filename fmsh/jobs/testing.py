"""`fmsh test`: programs run against the recorded answers of jobs, and files of tests.

`fmsh test FILE --with N,M…` runs FILE on the answers of these jobs together, in that order: nothing is done in the
world. It fails at the first request that none of them made, or when it ends otherwise than they did. Each `--with` is a
test of its own.

`fmsh test [FILE…]` runs files of tests, by default all `*_test.fmsh` below the directory; a directory stands for those
below it. Each `def` of theirs whose name begins with `test` and that needs no argument is one test; a file without such
is one test itself. Each runs as a job of its own, in a store of its own that is gone afterwards, and passes if it
succeeds.

The status is 0 if all passed, 1 if one failed, 2 if a file could not be read or is no program; the others run anyway.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time

from fmsh.errors import SourceError, StoreCorrupt, UsageError
from fmsh.jobs.arguments import Page, Parser
from fmsh.jobs.documents import has_ended
from fmsh.jobs.finding import NoSuchJob, NotPossible, find_job
from fmsh.lang import syntax as s
from fmsh.lang.parser import parse
from fmsh.lang.tree import walk
from fmsh.machine.effects import Observe, Request
from fmsh.record import Record
from fmsh.render.cells import visible
from fmsh.render.diagnostics import render
from fmsh.render.style import paint
from fmsh.render.times import span_text
from fmsh.spans import Source
from fmsh.values import are_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fmsh.engine.forks import Followed
    from fmsh.errors import FmshError
    from fmsh.jobs.desk import Desk
    from fmsh.machine.code import Program
    from fmsh.settings import Settings
    from fmsh.store.base import Job

PASSED, FAILED, UNUSABLE = 0, 1, 2
SUFFIX = "_test.fmsh"
NAME_PREFIX = "test"
TIMEOUT_S = 600
ENDING_S = 10  # for the cleanup of a test that is interrupted
ALONE = ("FMSH_STATE_DIR", "FMSH_RUNTIME_DIR")  # a test has them for itself


class Result(Record):
    """How one test ended. `message` is empty if it passed; `output` is what it wrote, as text.

    `status`: what it means for the whole. `is_error`: it could not be run at all.
    """

    file: str
    name: str
    message: str
    seconds: float
    output: str = ""
    status: int = PASSED
    is_error: bool = False

    @property
    def has_passed(self) -> bool:
        return not self.message

    @property
    def outcome(self) -> str:
        return "error" if self.is_error else "passed" if self.has_passed else "failed"


def main(parsed: argparse.Namespace, settings: Settings, desk: Desk) -> int:
    """Runs `fmsh test`. Status 0: all passed; 1: one failed; 2: one could not be run. Raises: FmshError."""
    if parsed.run is not None:
        return _run_here(parsed.files[0], parsed.run, settings)
    if parsed.junit == "-":  # the page has standard output, and people read the rest
        desk.stdout, page = desk.stderr, desk.stdout
    results = []
    for result in _results(parsed, desk):
        results.append(result)
        if not parsed.json:
            _tell(desk, result)
    if not results:
        raise UsageError(f"no test has {parsed.only!r} in its name", hint="`fmsh test` without --only runs all")
    if parsed.json:
        desk.write_document(_document(results))
    else:
        counts = _counts(results)
        errors = f", {counts['error']} not run" if counts["error"] else ""
        desk.say(f"{counts['passed']} passed, {counts['failed']} failed{errors}\n")
    if parsed.junit == "-":
        page.write(_junit(results))
    elif parsed.junit is not None:
        _write(parsed.junit, _junit(results))
    return max(result.status for result in results)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the arguments after `fmsh test`. Raises: UsageError; SystemExit after `--help`."""
    text = "Runs programs against the recorded answers of jobs, or files of tests."
    more = __doc__.partition("\n\n")[2].strip() + "\n\nExample: fmsh test release.fmsh --with 12 --with 13"
    parser = Parser(prog="fmsh test", description=text, epilog=more, formatter_class=Page, allow_abbrev=False)
    help = f"a program, or a directory of tests; by default each *{SUFFIX} below this one"
    parser.add_argument("files", nargs="*", metavar="FILE", help=help)
    parser.add_argument(
        "--with", dest="jobs", action="append", metavar="N,M…", help="on the answers of these jobs together"
    )
    parser.add_argument("--only", metavar="TEXT", help="only tests whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML, too; - for standard output")
    parser.add_argument("--run", metavar="NAME", help=_hidden())
    parsed = parser.parse_args(arguments)
    if parsed.jobs and not parsed.files:
        raise UsageError("--with needs the FILE that is to run on these answers", hint="fmsh test FILE --with N")
    if any(not names.strip(",") for names in parsed.jobs or ()):
        raise UsageError("--with needs at least one job", hint="fmsh test FILE --with N,M")
    if parsed.json and parsed.junit == "-":
        raise UsageError("--json and --junit - both want standard output", hint="give --junit a FILE")
    return parsed


def _hidden() -> str:
    import argparse

    return argparse.SUPPRESS


def _results(parsed: argparse.Namespace, desk: Desk) -> Iterator[Result]:
    wanted = parsed.only or ""
    if parsed.jobs:
        for file in parsed.files:
            for names in parsed.jobs:
                if wanted in names or wanted in file:
                    yield from _tried(desk, file, f"jobs {names}", lambda: [_run_on_answers(desk, file, names)])  # noqa: B023
        return
    for file in _files(parsed.files):
        yield from _tried(desk, file, file, lambda: _run_tests(file, wanted))  # noqa: B023


def _tried(desk: Desk, file: str, name: str, run: Callable[[], Iterable[Result]]) -> Iterator[Result]:
    """Yields results, and what kept a file from giving any more as one of them, which is told at once."""
    begun = time.monotonic()
    try:
        yield from run()
    except (SourceError, UsageError, NoSuchJob, NotPossible, StoreCorrupt) as problem:
        if isinstance(problem, StoreCorrupt) and not problem.is_local:
            raise
        desk.stdout.flush()
        desk.stderr.write(_told(problem, color=desk.color))
        status = UNUSABLE if isinstance(problem, SourceError | UsageError) else FAILED
        message = _told(problem, color=False).removeprefix("fmsh: ").strip()
        yield Result(file, name, message, time.monotonic() - begun, status=status, is_error=True)


def _told(problem: FmshError, *, color: bool) -> str:
    if isinstance(problem, SourceError):
        return render(problem.diagnostics, color=color)
    return f"fmsh: {problem.message}\n" + (f"  {problem.hint}\n" if problem.hint else "")


def _files(named: list[str]) -> list[str]:
    """The files that are named, and the files of tests below the directories that are. Raises: UsageError."""
    found: list[str] = []
    for name in named or ["."]:
        below = sorted(_test_files(name)) if os.path.isdir(name) else [name]
        if not below:
            where = f"below {name}" if named else "here"
            raise UsageError(f"there is no file *{SUFFIX} {where}", hint="name a FILE, or see fmsh test --help")
        found += below
    return found


def _run_tests(file: str, wanted: str) -> Iterator[Result]:
    for name in _names_of(file) or [""]:
        if wanted in (name or file):
            yield _run_alone(file, name)


def _test_files(directory: str) -> Iterator[str]:
    for place, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if not name.startswith(".")]
        yield from (os.path.normpath(os.path.join(place, name)) for name in files if name.endswith(SUFFIX))


# ---- On recorded answers ---------------------------------------------------------------------------------------------


def _run_on_answers(desk: Desk, file: str, names: str) -> Result:
    from fmsh.jobs import forking

    begun = time.monotonic()
    jobs = [find_job(desk.store, name) for name in names.split(",") if name]
    origins = [forking.origin_of(desk, job) for job in jobs]
    programs = [forking.edited(origin, file)[1] for origin in origins]
    followed = forking.follow(desk.store, [(origin, origin.job.head) for origin in origins], programs[0])
    message = _difference(jobs, programs[0], followed)
    note = "".join(f"not asked for: {forking.request_text(request)}\n" for request in followed.unused)
    output = note if followed.end is not None else ""
    return Result(file, _named(jobs), message, time.monotonic() - begun, output, FAILED if message else PASSED)


def _named(jobs: Sequence[Job]) -> str:
    return ("job " if len(jobs) == 1 else "jobs ") + ", ".join(str(job.id) for job in jobs)


def _difference(jobs: Sequence[Job], program: Program, followed: Followed) -> str:
    """What a program did otherwise than the jobs, of which all but the last are to succeed; "" if nothing."""
    from fmsh.jobs import forking

    named, last, missed, end = _named(jobs), jobs[-1], followed.missed, followed.end
    if isinstance(missed, Observe):
        return f"it asks for `{missed.operation}`, which {named} did not"
    if missed is not None:
        had = _next_recorded(missed, followed)
        step = forking.step_text(program, missed).strip()
        return f"step {step}: {named} did not ask for this{had}"
    if not has_ended(last) or last.state == "cancelled":
        return ""
    if end is None:
        return f"it does not end with the answers of {named}, which {last.state}"
    is_good = end.error is None and not end.status
    if is_good == (last.state == "succeeded"):
        return ""
    reason = f": {visible(end.error.message)}" if end.error is not None else ""
    return f"it {'succeeded' if is_good else 'failed'}{reason}, and {named} {last.state}"


def _next_recorded(missed: Request, followed: Followed) -> str:
    from fmsh.jobs import forking

    if not followed.unused:
        return ""
    recorded = followed.unused[0]
    if are_equal(recorded.arguments, missed.arguments):
        return " with these stages after it" if missed.arguments.get("output") else " here"
    return f"; next recorded is {forking.request_text(recorded)}"


# ---- Files of tests --------------------------------------------------------------------------------------------------


def _names_of(file: str) -> list[str]:
    """The tests that a file defines. Raises: SourceError, UsageError."""
    from fmsh.shell.script import read_source

    defined = [node for node in walk(parse(read_source(file))) if isinstance(node, s.Def)]
    return [node.name for node in defined if node.name.startswith(NAME_PREFIX) and not node.parameters]


def _run_alone(file: str, name: str) -> Result:
    """Runs one test in a process of its own, on a store of its own."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "fmsh", "test", "--run", name, "--", file]
    with tempfile.TemporaryDirectory(prefix="fmsh-test-") as directory:
        environment = os.environ | dict.fromkeys(ALONE, directory) | {"FMSH_NO_DAEMON": "1"}
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C comes to it by us, once
        )
        message = ""
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            message, output = f"it did not end within {TIMEOUT_S} s", _interrupt(process)
        except KeyboardInterrupt:
            _interrupt(process)
            raise
    if not message and process.returncode != 0:
        message = f"it ended with status {process.returncode}"
    text = output.decode("utf-8", "replace")
    return Result(file, name or file, message, time.monotonic() - begun, text, FAILED if message else PASSED)


def _interrupt(process: subprocess.Popen[bytes]) -> bytes:
    """Cancels the job of a test, so that it ends what it has begun; gives what it wrote."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=ENDING_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def _run_here(file: str, name: str, settings: Settings) -> int:
    """Runs a test as the job of this process. The call stands behind the text, so that places stay what they are."""
    from fmsh.assembly import make_program
    from fmsh.shell import script
    from fmsh.shell.foreground import Foreground, Start
    from fmsh.shell.options import Options

    source = script.read_source(file)
    text = source.text.rstrip("\n") + (f"\n{name}\n" if name else "\n")
    stored, program = make_program(Source(source.name, text))
    foreground = Foreground(settings)
    try:
        number, ended = foreground.run(Start(stored, program, f"{file} {name}".rstrip(), [], {}))
        return FAILED if ended is None else script.finish(number, ended, foreground, program, Options(file=file))
    finally:
        foreground.close()


# ---- Results ---------------------------------------------------------------------------------------------------------


def _tell(desk: Desk, result: Result) -> None:
    word = {"passed": "ok", "failed": "FAILED", "error": "ERROR"}[result.outcome]
    style = "green" if result.has_passed else "red"
    name = result.file if result.name == result.file else f"{result.file}  {result.name}"
    took = "" if result.is_error else f"  ({span_text(int(result.seconds * 1000))})"
    desk.say(f"{paint(word, style, color=desk.color)}  {visible(name)}{took}\n")
    if result.outcome == "failed":
        desk.say(f"    {visible(result.message)}\n")
    if not result.has_passed or result.name.startswith("job "):
        lines = visible(result.output, keep="\n\t").splitlines()
        desk.say("".join(f"    | {line}\n" for line in lines))
    desk.stdout.flush()


def _counts(results: list[Result]) -> dict[str, int]:
    outcomes = [result.outcome for result in results]
    return {outcome: outcomes.count(outcome) for outcome in ("passed", "failed", "error")}


def _document(results: list[Result]) -> dict[str, object]:
    counts = _counts(results)
    return {
        "passed": counts["passed"],
        "failed": counts["failed"],
        "errors": counts["error"],
        "tests": [
            {
                "file": result.file,
                "name": result.name,
                "outcome": result.outcome,
                "message": result.message or None,
                "seconds": round(result.seconds, 3),
                "output": result.output,
            }
            for result in results
        ],
    }


def _junit(results: list[Result]) -> str:
    from xml.sax.saxutils import escape, quoteattr

    counts = _counts(results)
    failures, errors = counts["failed"], counts["error"]
    took_s = sum(result.seconds for result in results)
    text = '<?xml version="1.0" encoding="UTF-8"?>\n'
    text += (
        f'<testsuite name="fmsh" tests="{len(results)}" failures="{failures}" errors="{errors}" time="{took_s:.3f}">\n'
    )
    for result in results:
        name, file = quoteattr(visible(result.name)), quoteattr(visible(result.file))
        text += f'<testcase name={name} classname={file} time="{result.seconds:.3f}">'
        if not result.has_passed:
            kind = "error" if result.is_error else "failure"
            text += f"<{kind} message={quoteattr(visible(result.message, keep=chr(10)))}/>"
        text += f"<system-out>{escape(visible(result.output, keep=chr(10) + chr(9)))}</system-out></testcase>\n"
    return text + "</testsuite>\n"


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as problem:
        raise UsageError(f"{path} cannot be written: {os.strerror(problem.errno or 0).lower()}") from problem
