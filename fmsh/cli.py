"""The command line: from arguments to an exit status. Options are read by hand: argparse costs 15 ms of start-up."""

from __future__ import annotations

import os
import sys

from fmsh.errors import FmshError, SourceError, StoreError, UsageError
from fmsh.record import Record
from fmsh.settings import read_settings
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Connector
    from fmsh.engine.engine import Ended
    from fmsh.settings import Settings

FAILED, USAGE, STORE_UNAVAILABLE, INTERRUPTED = 1, 2, 75, 130

HELP = """usage: fmsh [OPTION…] FILE [ARG…]     run a script as one durable job (- reads standard input)
       fmsh [OPTION…] -c TEXT [ARG…]  run a text
       fmsh                           the prompt
       fmsh jobs [VERB …]             see and steer jobs: list show attach wait output log cancel retry answer …
       fmsh daemon start|stop|status|run

  -d, --detach     start it as a detached job: prints its number
  --key KEY        if a job with KEY exists, attach to it instead of starting another
  --name NAME      a name for people          --tag K=V   a tag for queries
  --json           print the final value as one JSON document
  --check          parse and check only
  -v, --verbose    tell of each step as it happens
  --version, --help
"""


class Options(Record):
    """What stands before FILE or after `-c`."""

    file: str | None
    text: str | None
    arguments: list[str]
    is_detached: bool
    key: str | None
    name: str | None
    tags: dict[str, str]
    is_json: bool
    is_check: bool
    is_verbose: bool


def run(arguments: list[str]) -> int:
    """Runs fmsh; gives its exit status. No exception leaves it."""
    try:
        return _dispatch(arguments)
    except SourceError as error:
        _show_problems(error)
        return USAGE
    except FmshError as error:
        sys.stderr.write(f"fmsh: {error.message}\n" + (f"  {error.hint}\n" if error.hint else ""))
        return _status_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 141
    except Exception as fault:
        return _own_fault(fault)


def _status_of(error: FmshError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    return STORE_UNAVAILABLE if isinstance(error, StoreError) else FAILED


def _own_fault(fault: Exception) -> int:
    """A fault of fmsh: one line for the user, the traceback into a file."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="fmsh-fault-", suffix=".txt", delete=False, encoding="utf-8") as report:
        traceback.print_exception(fault, file=report)
    sys.stderr.write(f"fmsh: this is a fault of fmsh, please report it: {fault!r}\n  the details are in {report.name}\n")
    return FAILED


def _show_problems(error: SourceError) -> None:
    from fmsh.lang.diagnostics import render

    color = _has_colors(2)
    sys.stderr.write("".join(render(diagnostic, color) + "\n" for diagnostic in error.diagnostics))


def _has_colors(fd: int) -> bool:
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


# ---- Options -----------------------------------------------------------------------------------------------------------


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in _COMMANDS:
        return _COMMANDS[arguments[0]](arguments[1:], read_settings(os.environ))
    if arguments in (["--version"], ["-V"]):
        from fmsh import __version__

        sys.stdout.write(f"fmsh {__version__}\n")
        return 0
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    options = _parse(arguments)
    if options.file is None and options.text is None:
        return _prompt(options)
    return _run_source(_read_source(options), options)


def _prompt(options: Options) -> int:
    """A plain prompt: every text that is entered is a job of its own. Ends with the input."""
    from fmsh.lang.parser import is_complete

    if sys.stdin.isatty():
        import readline  # noqa: F401 - gives input() a line editor and its history
    status, text = 0, ""
    while True:
        try:
            text += input("...  " if text else "fmsh> ") + "\n"
        except EOFError:
            sys.stdout.write("\n")
            return status
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            text = ""
            continue
        if text.strip() and is_complete(text):
            status = run(["-c", text.rstrip("\n")])
        elif text.strip():
            continue
        text = ""


def _jobs(arguments: list[str], settings: Settings) -> int:
    from fmsh.assembly import load_program
    from fmsh.jobs.command import main
    from fmsh.store.sqlite import SqliteStore

    return main(
        arguments,
        lambda: SqliteStore.open(settings.state_directory, kind="shell"),
        fx_directory=settings.fx_directory,
        stdout=sys.stdout,
        stderr=sys.stderr,
        load_program=load_program,
    )


def _daemon(arguments: list[str], settings: Settings) -> int:
    from fmsh.daemon.command import main

    return main(arguments, settings)


_COMMANDS: dict[str, Callable[[list[str], Settings], int]] = {"jobs": _jobs, "daemon": _daemon}


def _parse(arguments: list[str]) -> Options:
    """Reads the options. Raises: UsageError."""
    found: dict[str, object] = {}
    tags: dict[str, str] = {}
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, has_value, value = argument.partition("=")
        if argument in _SWITCHES:
            found[_SWITCHES[argument]] = True
        elif name in _VALUES:
            if not (has_value and name.startswith("--")):
                if not waiting:
                    raise UsageError(f"{name} needs a value", hint="see fmsh --help")
                value = waiting.pop(0)
            if name == "--tag":
                _add_tag(tags, value)
            else:
                found[_VALUES[name]] = value
        elif argument.startswith("-") and argument != "-":
            raise UsageError(f"fmsh has no option {argument}", hint="see fmsh --help")
        else:
            if "text" in found:
                waiting.insert(0, argument)
            else:
                found["file"] = argument
            break
    defaults: dict[str, object] = {"file": None, "text": None, "key": None, "name": None}
    switches = dict.fromkeys(_SWITCHES.values(), False)
    return Options(**{**defaults, **switches, **found, "arguments": waiting, "tags": tags})  # type: ignore[arg-type]


_SWITCHES = {
    "-d": "is_detached",
    "--detach": "is_detached",
    "--json": "is_json",
    "--check": "is_check",
    "-v": "is_verbose",
    "--verbose": "is_verbose",
}
_VALUES = {"-c": "text", "--key": "key", "--name": "name", "--tag": "tag"}


def _add_tag(tags: dict[str, str], text: str) -> None:
    key, has_value, value = text.partition("=")
    if not key or not has_value:
        raise UsageError(f"--tag takes K=V, this is {text!r}", hint="such as --tag team=web")
    tags[key] = value


def _read_source(options: Options) -> Source:
    if options.text is not None:
        return Source("-c", options.text)
    assert options.file is not None
    if options.file == "-":
        return Source("-", _as_text(sys.stdin.buffer.read(), "standard input"))
    try:
        with open(options.file, "rb") as file:
            return Source(options.file, _as_text(file.read(), options.file))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UsageError(f"cannot read {options.file}: {reason}", hint="see fmsh --help for commands") from error


def _as_text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{name}:{line}: a script must be UTF-8 text, and byte {error.start} is not") from error


# ---- Running a source --------------------------------------------------------------------------------------------------


def _run_source(source: Source, options: Options) -> int:
    from fmsh.assembly import make_program
    from fmsh.shell.foreground import Foreground, Start

    if options.is_check:
        return _check(source, is_json=options.is_json)
    stored, program = make_program(source)
    if options.arguments[:1] == ["--help"] and program.parameters.signature.parameters:
        from fmsh.lang.arguments import help_text

        sys.stdout.write(help_text(program.parameters.signature))
        return 0
    variables, rest = _bind(program, options)
    start = Start(
        stored,
        program,
        _command_line(options),
        rest,
        variables,
        _input(source, options),
        options.key,
        options.name,
        options.tags,
        options.is_detached,
        options.is_json,
    )
    settings = read_settings(os.environ)
    foreground = Foreground(settings, is_json=options.is_json, wrap=_narrator() if options.is_verbose else None)
    try:
        if options.is_detached:
            number = foreground.detach(start)
            sys.stdout.write(f"{number}\n")
            return 0
        number, ended = foreground.run(start)
    finally:
        foreground.close()
    if ended is None or ended.state == "released":
        return _follow(number, ended, options, settings)
    return _finish(number, ended, source, options)


def _bind(program: object, options: Options) -> tuple[dict[str, object], list[str]]:
    from fmsh.machine.code import Program

    assert isinstance(program, Program)
    if not program.parameters.signature.parameters:
        return {}, options.arguments
    from fmsh.lang.arguments import bind_texts

    return bind_texts(program.parameters.signature, options.arguments)


def _input(source: Source, options: Options) -> str | None:
    """A script's `$in`: its standard input, if it asks for it and is not itself read from there."""
    if "$in" not in source.text or options.file == "-" or os.isatty(0):
        return None
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def _command_line(options: Options) -> str:
    if options.text is not None:
        return options.text
    assert options.file is not None
    return " ".join(_quoted(word) for word in [options.file, *options.arguments])


def _quoted(word: str) -> str:
    is_plain = word and all(character.isalnum() or character in "-_./:@%+=," for character in word)
    return word if is_plain else "'" + word.replace("'", "'\"'\"'") + "'"


def _narrator() -> Callable[[str, Connector], Connector]:
    from fmsh.render.steps import Narrated

    def say(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    return lambda name, connector: Narrated(name, connector, say)


def _check(source: Source, *, is_json: bool) -> int:
    from fmsh.assembly import check
    from fmsh.lang.diagnostics import render, to_json

    try:
        problems = check(source)
    except SourceError as error:
        problems = list(error.diagnostics)
    if is_json:
        import json

        sys.stdout.write(json.dumps([to_json(problem) for problem in problems]) + "\n")
    else:
        sys.stderr.write("".join(render(problem, _has_colors(2)) + "\n" for problem in problems))
    return USAGE if any(problem.severity == "error" for problem in problems) else 0


def _follow(number: int, ended: Ended | None, options: Options, settings: Settings) -> int:
    """The job is somebody else's: of the same key, taken over while we were stopped, or handed over for its cleanup."""
    if ended is not None and not os.isatty(2):
        return INTERRUPTED
    if ended is not None:
        sys.stderr.write(f"fmsh: job {number} goes on in the background: fmsh jobs attach {number}\n")
        return INTERRUPTED
    arguments = ["attach", str(number)] + (["--json"] if options.is_json else [])
    return _jobs(arguments, settings)


def _finish(number: int, ended: Ended, source: Source, options: Options) -> int:
    if options.is_json and ended.state == "succeeded":
        from fmsh.render.values import to_plain_json

        sys.stdout.write(to_plain_json(ended.value) + "\n")
        sys.stdout.flush()
    if ended.state == "parked":
        _explain_parked(number, ended, source)
        return FAILED
    if ended.error is not None:
        _show_error(ended, source, options)
    return ended.exit_status or 0


def _show_error(ended: Ended, source: Source, options: Options) -> None:
    from fmsh.render.errors import render_error

    assert ended.error is not None
    if ended.error.kind == "cancelled":
        sys.stderr.write("cancelled\n")
        return
    sys.stderr.write(render_error(ended.error, {source.name: source}, color=_has_colors(2)))


def _explain_parked(number: int, ended: Ended, source: Source) -> None:
    from fmsh.render.errors import render_error

    if ended.error is not None:
        sys.stderr.write(render_error(ended.error, {source.name: source}, color=_has_colors(2)))
    sys.stderr.write(
        f"job {number} is parked and needs you: `fmsh jobs retry {number}` does the step again,\n"
        f"`fmsh jobs answer {number} VALUE` says what its outcome was, `fmsh jobs cancel {number}` ends the job\n"
    )
