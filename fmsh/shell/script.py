"""One source as a job: reading it, checking it, binding its arguments, running it, and saying how it ended."""

from __future__ import annotations

import os
import stat
import sys

from fmsh.errors import UsageError
from fmsh.settings import read_settings
from fmsh.shell.terminal import has_colors, takes_passing_lines, unended_line_mark
from fmsh.spans import Source
from fmsh.values import Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from fmsh.connectors.base import Connector
    from fmsh.engine.engine import Ended
    from fmsh.machine.code import Program
    from fmsh.settings import Settings
    from fmsh.shell.foreground import Foreground, Start
    from fmsh.shell.options import Options
    from fmsh.store.base import EventStore
    from fmsh.values import ErrorValue, Value
else:
    import _signal as signal  # without its enums, which cost 4 ms of start-up

SMALL_BYTES_MAX = 64 * 1024
FAILED, NOT_EXECUTABLE, NOT_FOUND, INTERRUPTED, PIPE_CLOSED = 1, 126, 127, 130, 141
TYPED = "prompt"  # the name of a line of the prompt as a source


def run(options: Options) -> int:
    """Does what the options say with their source; gives the exit status. Raises: FmshError."""
    source = _read_source(options)
    if options.is_check:
        from fmsh.shell import checking

        return checking.run(source, is_json=options.is_json)
    from fmsh.assembly import make_program

    stored, program = make_program(source)
    signature = program.parameters.signature
    if options.arguments[:1] == ["--help"] and (signature.parameters or signature.help):
        from fmsh.lang.arguments import help_text

        sys.stdout.write(help_text(signature))
        return 0
    variables, rest = _bind(program, options)
    given = _input(source, options, is_stream=program.streams_input and not (options.is_plan or options.is_detached))
    if options.is_plan:
        from fmsh.shell import plan

        return plan.run(program, rest, variables, given, is_json=options.is_json)
    from fmsh.shell.foreground import Foreground, Start

    start = Start(
        stored,
        program,
        _command_line(options),
        rest,
        variables,
        given,
        options.key,
        options.name,
        options.tags,
        options.is_detached,
        is_held=options.is_held,
    )
    settings = read_settings(os.environ)
    foreground = Foreground(settings, is_json=options.is_json, wrap=_narrator() if options.is_verbose else None)
    try:
        return _start(foreground, start, source, options)
    finally:
        foreground.close()


def _start(foreground: Foreground, start: Start, source: Source, options: Options) -> int:
    if options.is_detached:
        sys.stdout.write(f"{foreground.detach(start)}\n")
        return 0
    number, ended = foreground.run(start)
    if ended is not None:
        return finish(number, ended, foreground, start.program, options)
    return left_or_attached(number, foreground, options)


# ---- What there is to run --------------------------------------------------------------------------------------------


def _read_source(options: Options) -> Source:
    if options.text is not None:
        return Source("-c", _as_text(os.fsencode(options.text), "the text of -c"))
    assert options.file is not None
    return read_source(options.file, hint="see fmsh --help for commands")


def read_source(name: str, *, hint: str = "") -> Source:
    """Reads a script; `-` is standard input. Raises: UsageError."""
    if name == "-":
        return Source("-", _as_text(_standard_input(), "standard input"))
    try:
        with open(name, "rb") as file:
            return Source(name, _as_text(file.read(), name))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {os.strerror(error.errno or 0)}", hint=hint) from error


def _standard_input() -> bytes:
    try:
        with open(0, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"standard input cannot be read: {os.strerror(error.errno or 0)}") from error


def _as_text(data: bytes, name: str) -> str:
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{name}:{line}: a script must be UTF-8 text, and byte {error.start} is not") from error


def _bind(program: Program, options: Options) -> tuple[dict[str, Value], list[str]]:
    if not program.parameters.signature.parameters:
        return {}, options.arguments
    from fmsh.lang.arguments import bind_texts

    return bind_texts(program.parameters.signature, options.arguments)


def _input(source: Source, options: Options, *, is_stream: bool) -> str | Handle | None:
    """A script's `$in`: its standard input, if it asks for it and is not itself read from there.

    What is read as a stream is a process of its own, which goes on when we are killed; a small file needs none.
    """
    if options.file == "-" or "in" not in source.text or os.isatty(0) or not _reads_input(source):
        return None
    if is_stream and not _is_small_file():
        return Handle("input", "0", {})
    return _standard_input().decode("utf-8", "surrogateescape")


def _is_small_file() -> bool:
    try:
        found = os.fstat(0)
    except OSError:
        return True  # whoever reads it says what is wrong
    return stat.S_ISREG(found.st_mode) and found.st_size <= SMALL_BYTES_MAX


def _reads_input(source: Source) -> bool:
    """Whether a script's own `$in` occurs in it; that of a function is another."""
    if "$in" not in source.text and "${in" not in source.text:
        return False
    from fmsh.lang import syntax as s
    from fmsh.lang.parser import parse
    from fmsh.lang.tree import walk

    tree = parse(source)
    inside = {id(node) for each in walk(tree) if isinstance(each, s.Def) for node in walk(each)}
    return any(isinstance(node, s.Variable) and node.name == "in" and id(node) not in inside for node in walk(tree))


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


# ---- How it ended ----------------------------------------------------------------------------------------------------


def left_or_attached(number: int, foreground: Foreground, options: Options) -> int:
    """Says that we left the job, or follows it where somebody else has it; gives the exit status."""
    return _leave(number, foreground) if foreground.left_by else _attach(number, foreground, options)


def _leave(number: int, foreground: Foreground) -> int:
    """We left the job before its end."""
    left_by = foreground.left_by
    if left_by == signal.SIGHUP:  # nobody is there to be told
        return 128 + left_by
    verb = "fg" if foreground.is_prompt else "fmsh jobs attach"
    attach = f"`{verb} {number}` follows it"
    if left_by == signal.SIGTSTP:
        sys.stderr.write(f"fmsh: job {number} goes on in the background: {attach}\n")
        return 128 + left_by
    if foreground.settings.may_start_daemon:
        sys.stderr.write(f"fmsh: job {number} is cancelled, and cleans up in the background: {attach}\n")
    else:
        sys.stderr.write(f"fmsh: job {number} is cancelled, and left in its cleanup: the next fmsh goes on with it\n")
    return PIPE_CLOSED if left_by == signal.SIGPIPE else INTERRUPTED


def _attach(number: int, foreground: Foreground, options: Options) -> int:
    """The job is somebody else's: of the same key, or taken over while we were stopped."""
    from fmsh.jobs.command import attach
    from fmsh.shell import daemon

    settings: Settings = foreground.settings

    def start_daemon(store: EventStore) -> None:
        daemon.start(settings, store)

    return attach(
        number,
        foreground.assembly.store,
        fx_directory=settings.fx_directory,
        stdout=sys.stdout,
        stderr=sys.stderr,
        is_json=options.is_json,
        start_daemon=start_daemon,
        daemon_state=lambda: daemon.state(settings),
    )


def finish(number: int, ended: Ended, foreground: Foreground, program: Program, options: Options) -> int:
    """Says how a job ended; gives the exit status."""
    if options.is_json and ended.state == "succeeded":
        from fmsh.render.values import to_plain_json

        sys.stdout.write(to_plain_json(ended.value))
    if ended.state == "parked":
        _explain_parked(number, ended, foreground, program)
        return FAILED
    if ended.error is None:
        return ended.exit_status or 0
    if ended.error.kind == "cancelled":
        if foreground.left_by == signal.SIGPIPE:
            return PIPE_CLOSED
        sys.stderr.write("cancelled\n")
    elif not _is_for_want_of_a_reader(ended):
        _show_error(ended.error, foreground, program)
    return ended.exit_status or 0


def _is_for_want_of_a_reader(ended: Ended) -> bool:
    """Whether a command died because nobody reads our output any more: that is no failure to tell of."""
    if ended.exit_status != PIPE_CLOSED:
        return False
    import select

    poll = select.poll()
    poll.register(1, 0)
    return any(what & select.POLLERR for _, what in poll.poll(0))


def _show_error(error: ErrorValue, foreground: Foreground, program: Program) -> None:
    """Shows an error; not again what its command said on stderr while it ran."""
    from fmsh.render.errors import render_error
    from fmsh.values import ErrorValue

    fields, stderr = dict(error.fields), error.fields.get("stderr")
    was_shown = type(stderr) is str and bool(stderr.strip()) and foreground.was_shown(stderr)
    sources = {unit.source.name: unit.source for unit in program.units}
    if fields.get("status") == NOT_FOUND and (hint := _hint_for_missing(fields.get("where"), sources)):
        fields["hint"] = hint
    if foreground.is_prompt and _is_said_by_its_line(error, sources):
        del fields["where"]
    text = render_error(ErrorValue(fields), sources, color=has_colors(2), is_stderr_shown=was_shown)
    begin = unended_line_mark() if foreground.is_prompt and takes_passing_lines(1) else ""
    sys.stderr.write(begin + text)


def _is_said_by_its_line(error: ErrorValue, sources: dict[str, Source]) -> bool:
    """Whether a program failed that is all of a line of the prompt: that stands right above, and needs no carets."""
    from fmsh.render.excerpt import span_at

    where = error.fields.get("where")
    if error.kind != "exit" or not isinstance(where, dict) or where["file"] != TYPED:
        return False
    if error.fields.get("status") in (NOT_EXECUTABLE, NOT_FOUND):
        return False
    span = span_at(sources[TYPED], where["line"], where["column"])
    return span is not None and sources[TYPED].text[span[0] : span[1]] == sources[TYPED].text.strip()


def _hint_for_missing(where: Value, sources: dict[str, Source]) -> str:
    from fmsh.lang.parser import parse
    from fmsh.lang.tree import walk
    from fmsh.shell.checking import hint_for_missing

    source = sources.get(str(where.get("file"))) if isinstance(where, dict) else None
    if source is None or not isinstance(where, dict):
        return ""
    lines = source.text.split("\n")[: where["line"] - 1]
    offset = sum(len(line) + 1 for line in lines) + where["column"] - 1
    return hint_for_missing(list(walk(parse(source))), offset)


def _explain_parked(number: int, ended: Ended, foreground: Foreground, program: Program) -> None:
    if ended.error is not None:
        _show_error(ended.error, foreground, program)
    if ended.error is not None and ended.error.kind == "undo":
        sys.stderr.write(f"job {number} is parked: undo it by hand, then `fmsh jobs cancel {number}` ends the job\n")
        return
    sys.stderr.write(
        f"job {number} is parked and needs you: `fmsh jobs retry {number}` does the step again,\n"
        f"`fmsh jobs answer {number} VALUE` says what its outcome was, `fmsh jobs cancel {number}` ends the job\n"
    )
