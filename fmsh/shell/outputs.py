"""What programs write that a completion asks for: each runs beside the prompt, without a job, and not for long.

A program is not waited for where it is asked for: the first time that raises `NotYet`, with a `Run` that is to be run
in a thread; whoever asks again then gets what it wrote. It has no terminal and no input, what it says on stderr is
dropped, and it is killed with all that it started when its time is over.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time

from fmsh.errors import FmshError
from fmsh.machine.streams import chain_maker
from fmsh.record import Record
from fmsh.render.steps import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.effects import Request
    from fmsh.machine.machine import Machine
    from fmsh.values import Value

RUN_S = 2.0  # what takes longer has nothing to offer to somebody who waits for a menu
OUTPUT_BYTES_MAX = 1 << 20
READ_BYTES = 1 << 16
DROPPED = (["2>", "/dev/null"], ["&>", "/dev/null"])
FAILED_STATUS, NOT_FOUND_STATUS = 1, 127


class Run(Record):
    """Programs that are piped into one another, with the environment of each."""

    argvs: tuple[tuple[str, ...], ...]
    environments: tuple[tuple[tuple[str, str], ...], ...]
    directory: str


class NotYet(Exception):
    """What a program writes is not known yet."""

    def __init__(self, wanted: Run) -> None:
        super().__init__(wanted)
        self.wanted = wanted


class Outputs:
    """What the programs wrote that were asked for at one line of the prompt: status and text by what was run."""

    def __init__(self) -> None:
        self._known: dict[Run, tuple[int, str]] = {}

    def forget(self) -> None:
        self._known.clear()

    def know(self, run: Run, status: int, text: str) -> None:
        self._known[run] = (status, text)

    def answer(self, machine: Machine, request: Request) -> dict[str, Value]:
        """The answer to what a program asks. Raises: NotYet; FmshError if it is not to be asked here."""
        run = _run_of(machine, request)
        if run not in self._known:
            raise NotYet(run)
        status, text = self._known[run]
        value: dict[str, Value] = {"statuses": [status] * len(run.argvs), "output": None, "stderr": ""}
        make_chain = chain_maker(machine, request.step)
        if make_chain is None:
            return value | {"output": text}
        chain = make_chain()
        made = [*chain.feed(text.splitlines()), *chain.finish()]
        return value | {"value": chain.value() if chain.is_fold else made}


def _run_of(machine: Machine, request: Request) -> Run:
    arguments = request.arguments
    if request.connector != "process" or arguments.get("input") is not None:
        raise _refused(request)
    stages = arguments["stages"]
    for stage in stages:
        if not all(type(word) is str for word in stage["argv"]):
            raise _refused(request)
        if any([operator, path] not in DROPPED for operator, path, *_ in stage.get("redirections", ())):
            raise _refused(request)
    environment, directory = machine.task_environment(request.step)
    environments = [environment | stage["environment"] for stage in stages]
    return Run(
        tuple(tuple(stage["argv"]) for stage in stages),
        tuple(tuple((name, text) for name, text in each.items() if type(text) is str) for each in environments),
        directory,
    )


def _refused(request: Request) -> FmshError:
    asked = describe(request.connector, request.operation, request.arguments)
    return FmshError(f"it asks for `{asked}`", hint="a completion reads files and what programs write, and no more")


def run(wanted: Run, time_s: float = RUN_S) -> tuple[int, str]:
    """Runs programs, one after the other; gives the status of the last that failed, or 0, and what the last wrote."""
    give_up_at_s = time.monotonic() + time_s
    data, failed = b"", 0
    for argv, environment in zip(wanted.argvs, wanted.environments, strict=True):
        status, data = _run_one(argv, dict(environment), wanted.directory, data, give_up_at_s)
        failed = status or failed
    return failed, data.decode("utf-8", "surrogateescape")


def _run_one(
    argv: tuple[str, ...], environment: dict[str, str], directory: str, data: bytes, give_up_at_s: float
) -> tuple[int, bytes]:
    given = _input(data)
    try:
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a question for a password has no terminal to be asked at
        )
    except (OSError, ValueError):
        return NOT_FOUND_STATUS, b""
    finally:
        os.close(given)
    with process:
        written = _read(process, give_up_at_s)
        try:
            status = process.wait(max(0.0, give_up_at_s - time.monotonic())) if written is not None else None
        except subprocess.TimeoutExpired:
            status = None
        if written is None or status is None:
            _kill(process)
            return FAILED_STATUS, b""
    return (status if status >= 0 else 128 - status), written


def _input(data: bytes) -> int:
    """A descriptor from which some data can be read."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY)
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return os.dup(file.fileno())


def _read(process: subprocess.Popen[bytes], give_up_at_s: float) -> bytes | None:
    """What a program writes up to its end; None if that takes too long or is too much."""
    assert process.stdout is not None
    written = b""
    while len(written) <= OUTPUT_BYTES_MAX:
        left_s = give_up_at_s - time.monotonic()
        if left_s <= 0 or not select.select([process.stdout], [], [], left_s)[0]:
            return None
        found = os.read(process.stdout.fileno(), READ_BYTES)
        if not found:
            return written
        written += found
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills a program with all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
