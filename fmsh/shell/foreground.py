"""One job in the foreground: it runs in this process, shows what it displays, and leaves with its exit status.

Signals: INT and TERM cancel the job; cleanup that lasts longer than 2 s, or a second signal, leaves the rest to the
daemon. HUP hands the job to the daemon, and so does TSTP while no program has the terminal; TSTP waits for what must
not be done twice, until a second signal. Without a daemon HUP cancels too. A reader of our output that has gone cancels
quietly. What was ignored when we began stays ignored (`nohup`).
`kill -9` needs nothing from us: whoever finds our lock free takes over.

At a prompt a program that is stopped (Ctrl-Z) is put aside with its job, and the next line can be read (`aside`).
Elsewhere it stops us, too, and the shell above lets both go on.
"""

from __future__ import annotations

import os

from fmsh.assembly import Assembly
from fmsh.engine.starting import NewRun
from fmsh.errors import DaemonError, StoreFenced
from fmsh.record import Record
from fmsh.shell import daemon, terminal
from fmsh.store.base import NewJob
from fmsh.values import ErrorValue, Handle, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping
    from types import FrameType

    from fmsh.connectors.base import AttemptId, Connector
    from fmsh.connectors.http_answer import Progress
    from fmsh.engine.engine import Ended
    from fmsh.engine.sessions import SessionLine
    from fmsh.engine.worker import Worker
    from fmsh.errors import StoreError
    from fmsh.machine.code import Program
    from fmsh.settings import Settings
    from fmsh.shell.aside import Aside
    from fmsh.shell.asking import Asker
    from fmsh.shell.progress import ProgressLine
    from fmsh.store.base import NewProgram
    from fmsh.values import Secret, Value

    Handler = Callable[[int, FrameType | None], object] | int | None
else:
    import _signal as signal  # without its enums, which cost 4 ms of start-up

KEYS = (signal.SIGINT, signal.SIGTSTP)  # what Ctrl-C and Ctrl-Z send
DAEMON_AFTER_S = 1.0  # a job this old gets a daemon that would take it over
CLEANUP_MAX_S = 2.0
PROGRESS_AFTER_S = 1.0  # a job this old is told of
HANGUP_MAX_S = 1.5
TELL_AFTER_S = 0.5  # of what a hand-over waits for
SHOWN_ITEMS_MAX = 100  # of a list at a prompt
RELAYED_KEPT_BYTES = 4096  # twice what an error keeps of its command's stderr
DRAWN = (dict, list, range, ErrorValue, Handle)  # as tables and trees; text keeps its lines and colours


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
    session_line: SessionLine | None = None
    place: Place | None = None
    is_held: bool = False


class Place(Record):
    """Where a job starts, if that is not where this process is."""

    environment: Mapping[str, str | Secret]
    directory: str
    time_zone: str


class Foreground:
    """An assembly for jobs of this terminal, and the reactions to signals while one runs.

    `left_by` is the signal for which `run` came back before the job had ended, or 0; SIGPIPE stands for a reader of our
    output that has gone. `ended_by` is the one that asked more than a job to end, or 0: a prompt ends with its line.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        is_json: bool = False,
        is_prompt: bool = False,
        wrap: Callable[[str, Connector], Connector] | None = None,
    ) -> None:
        self.settings = settings
        self.is_prompt = is_prompt
        self.aside: Aside | None = None
        self.left_by = self.ended_by = 0
        self._display_fd = 2 if is_json else 1
        self._is_value_wanted = is_json
        self._progress: ProgressLine | None = None
        self._has_progress = not is_json and wrap is None and terminal.takes_passing_lines(self._display_fd)
        self._job_id = 0  # in the foreground
        self._signals: list[int] = []
        self._is_cancelled = False
        self._relayed = b""
        self.assembly = Assembly(
            settings,
            kind="shell",
            callback_url=self._callback_url,
            display=self._display,
            terminal=terminal.terminal_of(self._display_fd, self._clear),
            report=self._report,
            stalled=self._stalled,
            wrap=wrap,
            on_stopped=self._on_stopped,
            relay=self._relay,
            on_question=self._on_question,
            on_child=self._start_daemon,
            on_file=self._on_file if self._has_progress else None,
        )
        self._asker: Asker | None = None
        self.engine = self.assembly.engine
        if is_prompt:
            from fmsh.shell.aside import Aside

            self.aside = Aside(self.assembly)

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
        options: dict[str, Value] = {"umask": terminal.current_umask()}
        if start.variables:
            options["variables"] = start.variables
        if start.input is not None:
            options["input"] = start.input
        if start.is_held:
            options["hold"] = True
        if self._is_value_wanted or start.session_line is not None:
            options["wanted"] = "whole" if self._is_value_wanted else "last"
        place = start.place or self.place()
        return NewRun(
            job, start.program, start.arguments, place.environment, place.directory, place.time_zone, options,
            start.session_line,
        )  # fmt: skip

    def place(self) -> Place:
        """Where this process is."""
        environment = self.assembly.secrets.job_environment(os.environ)
        return Place(environment, terminal.current_directory(), terminal.time_zone())

    def detach(self, start: Start) -> int:
        """Starts a detached job; gives its number. Raises: StoreError, DaemonError: there is no job then."""
        from fmsh.daemon.activate import ensure_running

        ensure_running(self.settings)
        job, _is_new = self.engine.submit_elsewhere(self.new_run(start))
        self.assembly.store.wake_daemon()
        return job.id

    def run(self, start: Start) -> tuple[int, Ended | None]:
        """Runs a job to its end; gives its number and how it ended.

        None: a job with its key existed already, or we left this one (`left_by`), or lost it. Raises: StoreError.
        """
        self.left_by, self._is_cancelled = 0, False
        handlers = self._catch_signals()
        try:
            job, is_new = self.engine.submit(self.new_run(start))
            if self.settings.may_start_daemon:
                self.assembly.loop.after(DAEMON_AFTER_S, self._start_daemon)
                if daemon.has_orphans(self.assembly.store):
                    self._start_daemon()
            return job.id, self._run_to_end(job.id) if is_new else None
        finally:
            self._rest(handlers)

    def go_on(self, job_id: int) -> Ended | None:
        """Brings a job that was put aside back to the foreground, and runs it to its end; None as `run` says."""
        assert self.aside is not None
        self.left_by, self._is_cancelled = 0, False
        handlers = self._catch_signals()
        try:
            self.aside.bring_back(job_id)
            return self._run_to_end(job_id)
        finally:
            self._rest(handlers)

    def end_aside(self) -> None:
        """Ends the stopped programs of a prompt; jobs that go on without the terminal get a daemon."""
        if self.aside is None or not self.engine.workers:
            return
        self.aside.end()
        if self.engine.workers and self.settings.may_start_daemon:
            self._start_daemon()

    def _rest(self, handlers: dict[int, Handler]) -> None:
        if self._asker is not None:
            self._asker.leave()
        if self._progress is not None:
            self._progress.leave()
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def _run_to_end(self, job_id: int) -> Ended | None:
        if not self._has_progress:
            return self._turn_to_end(job_id)
        self._job_id = job_id
        timer = self.assembly.loop.after(PROGRESS_AFTER_S, lambda: self._progress_line().tell_of_job())
        try:
            return self._turn_to_end(job_id)
        finally:
            timer.cancel()

    def _turn_to_end(self, job_id: int) -> Ended | None:
        while True:
            try:
                ended = self.engine.run_until_ended(job_id, is_interrupted=lambda: self._is_interrupted(job_id))
            except StoreFenced:
                return None
            if ended is not None:
                return None if ended.state == "released" else ended
            if self._is_aside(job_id):
                self.left_by = int(signal.SIGTSTP)
                return None
            if self._react(job_id, self._signals.pop(0)):
                return None

    def _is_interrupted(self, job_id: int) -> bool:
        if self._asker is not None:
            self._asker.look()
        return bool(self._signals) or self._is_aside(job_id)

    def _is_aside(self, job_id: int) -> bool:
        return self.aside is not None and job_id in self.aside.stopped

    def _on_question(self, job_id: int) -> None:
        if self._asker is None:
            from fmsh.shell.asking import Asker

            self._asker = Asker(self.engine, self._say)
        self._asker.expect(job_id)

    def _on_file(self, name: str, progress: Progress) -> None:
        self._progress_line().add(name, progress)

    def _progress_line(self) -> ProgressLine:
        if self._progress is None:
            from fmsh.shell.progress import ProgressLine

            self._progress = ProgressLine(
                self.assembly.loop,
                self._has_terminal,
                lambda: self.engine.workers.get(self._job_id),
                self.assembly.clock.wall_ms,
            )
        return self._progress

    def _has_terminal(self) -> bool:
        """Whether neither a program nor a question has it."""
        if self._asker is not None and self._asker.is_asking:
            return False
        return terminal.owns_terminal(2) and not any(worker.terminals for worker in self.engine.workers.values())

    # -- signals

    def _catch_signals(self) -> dict[int, Handler]:
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        if os.isatty(0) and (self.settings.may_start_daemon or self.aside is not None):
            numbers.append(signal.SIGTSTP)
        before: dict[int, Handler] = {int(number): signal.getsignal(number) for number in numbers}
        # A prompt ignores TSTP until a line runs.
        caught = {
            number: handler
            for number, handler in before.items()
            if handler != signal.SIG_IGN or (number == signal.SIGTSTP and self.aside is not None)
        }
        for number in caught:
            signal.signal(number, self._on_signal)
        return caught

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        self.engine.wake()

    def _react(self, job_id: int, number: int) -> bool:
        """Does what a signal asks for. True: the job is left as it is."""
        worker = self.engine.workers.get(job_id)
        if number in (signal.SIGHUP, signal.SIGTERM):
            self.ended_by = number
        if worker is None:
            return False
        if number in KEYS and not worker.terminals:
            self._end_line_of_key()
        if (
            number == signal.SIGTSTP
            and self.aside is not None
            and (worker.terminals or not self.settings.may_start_daemon)
        ):
            if not worker.terminals:  # else it came a moment before the program had the terminal
                self._say("fmsh: a job cannot go on in the background: FMSH_NO_DAEMON=1 forbids the daemon\n")
        elif number == signal.SIGTSTP and worker.terminals:
            _stop_ourselves(signal.SIGTSTP)
        elif self._is_cancelled or worker.is_leaving:
            if number in (signal.SIGINT, signal.SIGTERM) and not self._is_cancelled:
                self.engine.cancel(job_id)
            self._hand_over_cleanup(worker, at_once=True)
        elif number == signal.SIGTSTP and self.settings.may_start_daemon:
            self._hand_over(worker)
        elif number == signal.SIGHUP and self.settings.may_start_daemon:
            return self._detach_hung_up(worker)
        else:
            self._is_cancelled = True
            self.left_by = int(number) if number == signal.SIGPIPE else 0
            self.engine.cancel(job_id)
            if self.settings.may_start_daemon:
                self.assembly.loop.after(CLEANUP_MAX_S, lambda: self._hand_over_cleanup(worker))
        return False

    def _end_line_of_key(self) -> None:
        """Begins a new line behind the `^C` or `^Z` that the terminal shows; a line that goes away takes it along."""
        if self._progress is not None and self._progress.is_drawn:
            self._progress.erase()
        elif terminal.owns_terminal(2):
            self._say("\n")

    def _hand_over(self, worker: Worker) -> None:
        """Hands a job to the daemon as soon as nothing is in flight that would be done twice by that."""
        self._start_daemon()
        self.left_by = int(signal.SIGTSTP)
        worker.is_detaching = True
        self.engine.leave(worker)

        def tell() -> None:
            if not worker.is_dropped:
                self._say("fmsh: first this has to end, so that it is not done twice; Ctrl-Z again: at once\n")

        self.assembly.loop.after(TELL_AFTER_S, tell)

    def _detach_hung_up(self, worker: Worker) -> bool:
        if worker.terminals:
            terminal.hang_up()
        self._start_daemon()
        self.left_by = int(signal.SIGHUP)
        self.engine.release(worker.job_id, within_s=HANGUP_MAX_S, detach=True)
        return not worker.is_dropped  # the store takes no commit: our end leaves the job to whoever takes over

    def _hand_over_cleanup(self, worker: Worker, *, at_once: bool = False) -> None:
        if worker.is_dropped:
            return
        if self.settings.may_start_daemon:
            self._start_daemon()
        self.left_by = self.left_by or int(signal.SIGINT)
        worker.is_detaching = True
        worker.is_hurried = worker.is_hurried or at_once
        self.engine.leave(worker)

    def _on_stopped(self, id: AttemptId) -> None:
        """A program was stopped at the terminal: so are we, until a shell above us lets us go on in the foreground.

        A prompt puts it aside instead.
        """
        if self.aside is not None:
            self.aside.put(id)
            self.engine.wake()
            return
        _stop_ourselves(signal.SIGTSTP)
        while os.isatty(0) and not terminal.owns_terminal() and not self._signals:
            _stop_ourselves(signal.SIGTTIN)
        self.assembly.resume_process(id, in_foreground=True)

    def _start_daemon(self) -> None:
        try:
            daemon.start(self.settings, self.assembly.store)
        except DaemonError as error:
            self._say(f"fmsh: {error.message}\n" + (f"  {error.hint}\n" if error.hint else ""))

    def _callback_url(self) -> str:
        from fmsh.daemon.activate import callback_url

        return callback_url(self.settings)

    # -- showing

    def _clear(self) -> None:
        if self._progress is not None:
            self._progress.erase()

    def was_shown(self, stderr: str) -> bool:
        """Whether what a command said on stderr was shown while it ran."""
        return stderr.strip().encode("utf-8", "surrogateescape") in self._relayed

    def _display(self, text: str, stream: str, value: Value) -> None:
        if self.left_by == signal.SIGPIPE and stream == "out":
            return
        self._clear()
        if os.isatty(2 if stream == "err" else self._display_fd):
            items_max = SHOWN_ITEMS_MAX if self.is_prompt else None
            text = _drawn(text, value, items_max, color=terminal.has_colors(2 if stream == "err" else self._display_fd))
        try:
            terminal.write(2 if stream == "err" else self._display_fd, text_bytes(text))
        except BrokenPipeError:
            if stream == "out":
                self.left_by = int(signal.SIGPIPE)
                self._signals.append(signal.SIGPIPE)

    def _relay(self, data: bytes) -> None:
        self._clear()
        self._relayed = (self._relayed + data)[-RELAYED_KEPT_BYTES:]
        try:
            terminal.write(2, data)
        except OSError:
            pass

    def _report(self, text: str) -> None:
        path = self.settings.state_directory + "/faults.log"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "a", encoding="utf-8") as log:
                log.write(text + "\n")
        except OSError as error:  # the disk may be full, which must not end the job
            self._say(f"fmsh: {path} cannot be written: {error.strerror}\n")

    def _stalled(self, error: StoreError | None) -> None:
        self._say("fmsh: going on\n" if error is None else f"fmsh: waiting, nothing is lost: {error.message}\n")

    def _say(self, text: str) -> None:
        self._clear()
        try:
            terminal.write(2, text.encode())
        except OSError:
            pass


def _stop_ourselves(number: int) -> None:
    """Stops us and those beside us in our pipeline, as the terminal would. Nothing, if nobody could wake us."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        os.killpg(0, number)
    finally:
        signal.signal(number, before)


def _drawn(text: str, value: Value, items_max: int | None, *, color: bool) -> str:
    """What a terminal shows of a value, or of a text. Whoever sent it from afar does nothing to the terminal by it."""
    if type(value) not in DRAWN:
        from fmsh.render.cells import harmless

        return harmless(text)
    from fmsh.render.values import display_text

    return display_text(value, is_terminal=True, width=terminal.width(), color=color, items_max=items_max)
