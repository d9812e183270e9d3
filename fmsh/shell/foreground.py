"""One job in the foreground: it runs in this process, shows what it displays, and leaves with its exit status.

Signals: INT and TERM cancel the job; cleanup that lasts longer than 2 s goes on in the daemon. HUP hands the job to the
daemon. `kill -9` needs nothing from us: whoever finds our lock free takes over.
"""

from __future__ import annotations

import os
import signal
import sys

from fmsh.assembly import Assembly
from fmsh.connectors.base import Terminal
from fmsh.engine.starting import NewRun
from fmsh.errors import StoreFenced
from fmsh.record import Record
from fmsh.store.base import NewJob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from fmsh.connectors.base import Connector
    from fmsh.engine.engine import Ended
    from fmsh.errors import StoreError
    from fmsh.machine.code import Program
    from fmsh.settings import Settings
    from fmsh.store.base import NewProgram
    from fmsh.values import Value

DAEMON_AFTER_S = 1.0  # a job this old gets a daemon that would take it over
CLEANUP_MAX_S = 2.0
HANGUP_MAX_S = 1.5


class Start(Record):
    """What the command line says about one job."""

    stored: NewProgram
    program: Program
    command: str
    arguments: list[str]
    variables: dict[str, Value]
    input: Value = None
    key: str | None = None
    name: str | None = None
    tags: dict[str, str] = {}  # noqa: RUF012 - a default that is never changed
    is_detached: bool = False
    is_json: bool = False


class Foreground:
    """An assembly for jobs of this terminal, and the reactions to signals while one runs."""

    def __init__(
        self, settings: Settings, *, is_json: bool = False, wrap: Callable[[str, Connector], Connector] | None = None
    ) -> None:
        self.settings = settings
        self._display_fd = 2 if is_json else 1
        self._is_reader_gone = False
        self._signals: list[int] = []
        self.assembly = Assembly(
            settings,
            kind="shell",
            callback_url=self._callback_url,
            display=self._display,
            terminal=Terminal(0, self._display_fd, 2, _owns_terminal()),
            report=self._report,
            stalled=self._stalled,
            wrap=wrap,
        )
        self.engine = self.assembly.engine

    def close(self) -> None:
        self.assembly.close()

    # -- starting

    def new_run(self, start: Start) -> NewRun:
        from fmsh import wire

        job = NewJob(
            os.urandom(16).hex(),
            start.stored.name,
            start.command,
            self.assembly.clock.wall_ms(),
            start.stored,
            key=start.key,
            name=start.name,
            tags_json=wire.encode_plain(start.tags),
            is_detached=start.is_detached,
        )
        options = {"variables": start.variables} if start.variables else {}
        if start.input is not None:
            options["input"] = start.input
        environment = self.assembly.job_environment(os.environ)
        return NewRun(job, start.program, start.arguments, environment, _directory(), _time_zone(), options)

    def detach(self, start: Start) -> int:
        """Starts a detached job; gives its number. Raises: StoreError, DaemonError: there is no job then."""
        from fmsh.daemon.activate import ensure_running

        ensure_running(self.settings)
        job, _is_new = self.engine.submit_elsewhere(self.new_run(start))
        self.assembly.store.wake_daemon()
        return job.id

    def run(self, start: Start) -> tuple[int, Ended | None]:
        """Runs a job to its end; gives its number and how it ended. None: a job with its key existed already."""
        handlers = self._catch_signals()
        try:
            job, is_new = self.engine.submit(self.new_run(start))
            if not is_new:
                return job.id, None
            self._adopt_orphans()
            if self.settings.may_start_daemon:
                self.assembly.loop.after(DAEMON_AFTER_S, self._start_daemon)
            return job.id, self._run_to_end(job.id)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _run_to_end(self, job_id: int) -> Ended | None:
        while True:
            try:
                ended = self.engine.run_until_ended(job_id, is_interrupted=lambda: bool(self._signals))
            except StoreFenced:
                return None
            if ended is not None:
                return ended
            self._react(job_id, self._signals.pop(0))

    def _adopt_orphans(self) -> None:
        """A job whose shell died before a daemon knew of it is handed to the daemon by the next fmsh that starts."""
        store = self.assembly.store
        if self.settings.may_start_daemon and len(store.owners()) > 1 and store.reap():
            self._start_daemon()

    # -- signals

    def _catch_signals(self) -> dict[int, Callable[[int, FrameType | None], object] | int | None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {int(number): signal.getsignal(number) for number in numbers}
        for number in numbers:
            signal.signal(number, self._on_signal)
        return before

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        self.engine.wake()

    def _react(self, job_id: int, number: int) -> None:
        if number == signal.SIGHUP and self.settings.may_start_daemon:
            self._start_daemon()
            self.engine.release(job_id, within_s=HANGUP_MAX_S, detach=True)
            return
        self.engine.cancel(job_id)
        if self.settings.may_start_daemon:
            self.assembly.loop.after(CLEANUP_MAX_S, lambda: self._hand_over_cleanup(job_id))

    def _hand_over_cleanup(self, job_id: int) -> None:
        worker = self.engine.workers.get(job_id)
        if worker is not None:
            self._start_daemon()
            worker.is_detaching = True
            self.engine.leave(worker)

    def _start_daemon(self) -> None:
        """Starts a daemon if there is none, without waiting for it."""
        from fmsh.daemon import activate, client
        from fmsh.errors import DaemonError

        try:
            if client.status(self.settings.socket_path) is None:
                activate.spawn(self.settings)
            else:
                self.assembly.store.wake_daemon()
        except (DaemonError, OSError) as error:
            self._say(f"fmsh: the daemon could not be started: {error}\n")

    def _callback_url(self) -> str:
        from fmsh.daemon.activate import callback_url

        return callback_url(self.settings)

    # -- showing

    def _display(self, text: str, stream: str) -> None:
        if self._is_reader_gone and stream == "out":
            return
        try:
            _write(2 if stream == "err" else self._display_fd, text)
        except BrokenPipeError:
            self._is_reader_gone = True  # a reader that has had enough is no failure

    def _report(self, text: str) -> None:
        path = self.settings.state_directory + "/faults.log"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(fd, "a", encoding="utf-8") as log:
            log.write(text + "\n")

    def _stalled(self, error: StoreError | None) -> None:
        self._say("fmsh: going on\n" if error is None else f"fmsh: waiting, nothing is lost: {error.message}\n")

    def _say(self, text: str) -> None:
        try:
            _write(2, text)
        except OSError:
            pass


def _write(fd: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(fd, data) :]


def _owns_terminal() -> bool:
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _directory() -> str:
    """The current directory, by the name under which the user knows it."""
    named = os.environ.get("PWD", "")
    try:
        if named.startswith("/") and os.path.samefile(named, "."):
            return named
    except OSError:
        pass
    return os.getcwd()


def _time_zone() -> str:
    named = os.environ.get("TZ")
    if named:
        return named
    try:
        path = os.readlink("/etc/localtime")
    except OSError:
        return "UTC"
    return path.partition("zoneinfo/")[2] or "UTC"


def flush() -> None:
    """Writes out what Python still holds; a reader that has gone is no failure."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
