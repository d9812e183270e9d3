"""`fmsh jobs VERB …`: from arguments to an exit status. Errors become one clear message on standard error."""

from __future__ import annotations

from fmsh.errors import FmshError, SourceError, StoreCorrupt, StoreError, UsageError
from fmsh.jobs import acting, following, removing, showing
from fmsh.jobs.desk import Desk
from fmsh.jobs.documents import lost_value, whole_document
from fmsh.jobs.finding import NotPossible, find_job
from fmsh.render.values import to_plain_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TextIO

    from fmsh.machine.code import Program
    from fmsh.retention import Limits
    from fmsh.store.base import EventStore, NewProgram

    Verb = Callable[[Desk, argparse.Namespace], int]

FAILED, USAGE, STORE_UNAVAILABLE, INTERRUPTED, PIPE_CLOSED = 1, 2, 75, 130, 141


def _export(desk: Desk, arguments: argparse.Namespace) -> int:
    from fmsh.jobs.exporting import export  # the file's format needs msgspec, and other verbs do not

    return export(desk, arguments)


def _import(desk: Desk, arguments: argparse.Namespace) -> int:
    from fmsh.jobs.importing import import_file

    return import_file(desk, arguments)


def _inspect(desk: Desk, arguments: argparse.Namespace) -> int:
    from fmsh.jobs.inspecting import inspect  # the machine, which other verbs do not need

    return inspect(desk, arguments)


def _why(desk: Desk, arguments: argparse.Namespace) -> int:
    from fmsh.jobs.explaining import why

    return why(desk, arguments)


def _trace(desk: Desk, arguments: argparse.Namespace) -> int:
    from fmsh.jobs.tracing import trace

    return trace(desk, arguments)


def _fork(desk: Desk, arguments: argparse.Namespace) -> int:
    from fmsh.jobs.forking import fork

    return fork(desk, arguments)


def _script(desk: Desk, arguments: argparse.Namespace) -> int:
    from fmsh.jobs.scripting import script

    return script(desk, arguments)


VERBS: dict[str, Verb] = {
    "list": showing.list_jobs,
    "show": showing.show,
    "log": showing.log,
    "attach": following.attach,
    "wait": following.wait,
    "output": following.output,
    "inspect": _inspect,
    "why": _why,
    "trace": _trace,
    "fork": _fork,
    "script": _script,
    "cancel": acting.cancel,
    "pause": acting.pause,
    "resume": acting.resume,
    "retry": acting.retry,
    "answer": acting.answer,
    "signal": acting.signal,
    "gc": removing.gc,
    "rm": removing.rm,
    "export": _export,
    "import": _import,
}


def main(
    arguments: list[str],
    open_store: Callable[[], EventStore],
    *,
    fx_directory: str,
    stdout: TextIO,
    stderr: TextIO,
    load_program: Callable[[NewProgram], Program] | None = None,
    start_daemon: Callable[[EventStore], None] | None = None,
    daemon_state: Callable[[], str] | None = None,
    limits: Callable[[], Limits] | None = None,
    keep_secret: Callable[[EventStore, str, str], None] | None = None,
) -> int:
    """Runs `fmsh jobs` with the arguments after it and gives the exit status.

    `open_store` is called once the arguments are known to be right. `load_program` compiles a stored program, so that
    events and steps can say where in the source they stand; `start_daemon` is for jobs that nobody holds, `limits` say
    how long things are kept, and `keep_secret` keeps those of an import (see `Desk`).
    """
    from fmsh.jobs.arguments import parse

    def act() -> int:
        parsed = parse(arguments, help_stream=stdout)
        store = open_store()
        try:
            desk = Desk(
                store,
                fx_directory=fx_directory,
                stdout=stdout,
                stderr=stderr,
                is_json=parsed.json,
                load_program=load_program,
                start_daemon=start_daemon,
                daemon_state=daemon_state,
                limits=limits,
                keep_secret=keep_secret,
            )
            status = VERBS[parsed.verb](desk, parsed)
            stdout.flush()
            return status
        finally:
            store.close()

    return _guarded(act, stderr)


def attach(
    number: int,
    store: EventStore,
    *,
    fx_directory: str,
    stdout: TextIO,
    stderr: TextIO,
    is_json: bool,
    start_daemon: Callable[[EventStore], None],
    daemon_state: Callable[[], str],
) -> int:
    """Follows a job as if it had been started here. With `is_json` only its value goes to standard output."""

    def act() -> int:
        desk = Desk(
            store,
            fx_directory=fx_directory,
            stdout=stderr if is_json else stdout,
            stderr=stderr,
            start_daemon=start_daemon,
            daemon_state=daemon_state,
        )
        left, ended = following.follow_to_end(desk, find_job(store, f"%{number}"))
        if left is None and is_json and ended.state == "succeeded":
            lost = lost_value(ended)
            if lost is not None:
                raise NotPossible(lost, hint="Start it anew with another --key, or without one.")
            stdout.write(to_plain_json(whole_document(store, ended)["value"]))
        stdout.flush()
        return left if left is not None else following.status_of(ended)

    return _guarded(act, stderr)


def _guarded(act: Callable[[], int], stderr: TextIO) -> int:
    """Gives the status of `act`, or of what kept it from its end."""
    try:
        return act()
    except SystemExit:  # after --help
        return 0
    except BrokenPipeError:  # the reader has gone, and needs no more
        return PIPE_CLOSED
    except KeyboardInterrupt:
        if stderr.isatty():
            stderr.write("\n")  # behind the `^C` that the terminal shows
        return INTERRUPTED
    except SourceError:  # whoever started us shows it with its lines
        raise
    except FmshError as problem:
        stderr.write(f"fmsh: {problem.message}\n" + (f"  {problem.hint}\n" if problem.hint else ""))
        return _status_of(problem)


def _status_of(problem: FmshError) -> int:
    if isinstance(problem, UsageError):
        return USAGE
    if isinstance(problem, StoreCorrupt) and problem.is_local:
        return FAILED
    return STORE_UNAVAILABLE if isinstance(problem, StoreError) else FAILED
