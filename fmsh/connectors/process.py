"""External commands: a wrapper process per attempt (`wrapper`) that leaves all that we need to know in files (`spool`).

Operation "run". Arguments: `stages`, a list of `{"argv": [text], "environment": {name: text or secret}}`, which are
added to those of the attempt, and perhaps `"redirections": [[operator, path, text or null]]` (`redirecting`); `output`,
"display", "capture", or "fold" or "stream" (`streaming`); `errors`, "capture" where all of stderr is wanted; `input`,
null or text, bytes or a secret for the first stage's standard input, or the handle that stands for ours.
Done value: `{"statuses": [one per stage, 128+N for signal N], "output": text or null, "stderr": tail of text}`, and
`errors`, text, if it was asked for.

Where an attempt stands is always read from its directory, for a fresh one as for one that another process started:

    | status | wrapper.lock | claim | command.lock | |
    | yes    |              |       |              | it has ended                                          |
    | no     | held         |       |              | it runs: wait for the wrapper                         |
    | no     | free         | no    |              | it was never started: start it                        |
    | no     | free         | yes   | held         | its wrapper was killed: wait for the command          |
    | no     | free         | yes   | free         | lost, unless all statuses were written but not moved  |

Three modes: "spool" (a session of its own, outputs into files), "terminal" (a displayed process on our descriptors, its
stderr perhaps through a file, in a process group of its own) and "tty" (on ours, and the terminal is handed over).
Everything runs in the engine's thread.
"""

from __future__ import annotations

import os
from time import monotonic

from fmsh.connectors import children, cutting, descriptors, spool, terms, wrapper
from fmsh.connectors.base import AttemptId, Cancelled, Done, Failed
from fmsh.connectors.running import Running, failure, lost, refused_by_system, too_long
from fmsh.values import Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.connectors.base import Attempt, Connector, Outcome, Post
    from fmsh.connectors.feeding import Feed
    from fmsh.connectors.streaming import ProcessStream
    from fmsh.values import Secret, Value
else:
    import _signal  # importing signal itself would cost its enums

KILL_AFTER_S = 5.0
# sh drops a signal that comes between its fork and the exec of the command; so in a young attempt TERM is sent twice.
YOUNG_S = 1.0
YOUNG_TERM_AGAIN_S = 0.1
TERM_AFTER_PIPE_S = 0.5
CHILD_POLL_S = (0.005, 0.1)  # first and longest wait where there is no pidfd
SETTLE_AFTER_S = 0.1  # where no other command is started
LOCK_POLL_S = (0.02, 0.25)
STOP_POLL_S = 0.1


class ProcessConnector:
    """Runs pipelines of external commands. `fx_directory`: where attempts are kept; it may not exist yet.

    `watch(fd, callback)` calls back in the loop's thread whenever fd is readable, until `unwatch(fd)`; `after(seconds,
    callback)` calls back once; `reveal` gives the text of a secret. `on_stopped` hears of a process that was stopped at
    the terminal (the terminal is ours again by then); `resume` continues it. `umask` is that of commands whose job has
    none, for a process whose own is not its user's. `relay` hears what captured commands of the foreground say on
    stderr. `sealer` gives what makes a secret of a text, for output that is one. `output_bytes_max`: of each output.
    `sources` gives the connector of a stream that a process reads.
    """

    def __init__(
        self,
        fx_directory: str,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        reveal: Callable[[Secret], str],
        after: Callable[[float, Callable[[], None]], object],
        on_stopped: Callable[[AttemptId], None] | None = None,
        umask: int | None = None,
        relay: Callable[[bytes], object] | None = None,
        sealer: Callable[[], Callable[[str], Secret]] | None = None,
        output_bytes_max: int = cutting.OUTPUT_BYTES_MAX,
        sources: Callable[[str], Connector | None] | None = None,
    ) -> None:
        self._fx_directory = os.path.abspath(fx_directory)
        self._watch = watch
        self._unwatch = unwatch
        self._reveal = reveal
        self._environments = wrapper.Environments(reveal)
        self._after = after
        self._on_stopped = on_stopped
        self._umask = umask
        self._relay = relay
        self._sealer = sealer
        self._output_bytes_max = output_bytes_max
        self._sources = sources
        self._running: dict[AttemptId, Running] = {}
        self._settled: list[tuple[str, set[str]]] = []
        self._boot_id = children.read_boot_id()

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == "run", attempt.operation
        directory = spool.attempt_directory(self._fx_directory, attempt.job_uid, attempt.id.step, attempt.id.attempt)
        running = Running(attempt, directory, post)
        self._running[attempt.id] = running
        if attempt.make_chain is not None:
            running.stream = self._stream(running)
        self._settle(running)
        if descriptors.spooled_outputs(attempt):
            self._after(cutting.LOOK_S[0], lambda: self._bound(running))
        if running.stream is not None:
            running.stream.begin()

    def read(self, id: AttemptId, position: Value) -> None:
        """Asks a stream for its next items."""
        running = self._running.get(id)
        if running is not None and running.stream is not None:
            running.stream.ask(position)

    def forget(self, id: AttemptId) -> None:
        """Leaves a stream to somebody else."""
        running = self._running.pop(id, None)
        if running is not None:
            self._release(running)
            assert running.stream is not None
            running.stream.close()

    def _stream(self, running: Running) -> ProcessStream:
        from fmsh.connectors.streaming import ProcessStream

        return ProcessStream(
            running.attempt,
            running.directory,
            signal=lambda number: self._signal(running, number),
            after=self._after,
            settle=lambda: self._settle_stream(running),
            hand_over=lambda items: running.post(running.attempt.id, items),
            end_gently=lambda: self._end(running),
        )

    def _settle_stream(self, running: Running) -> None:
        if self._running.get(running.attempt.id) is running:
            self._settle(running)

    def cancel(self, id: AttemptId) -> None:
        """Asks the process group to end; what is still there after 5 s is killed."""
        running = self._running.get(id)
        if running is None or running.is_cancelled:
            return
        running.is_cancelled = True
        if running.handover is not None:
            running.handover.is_refused = True
        self._end(running)
        if running.stream is not None and running.stream.has_ended:  # only what it wrote was still wanted
            self._after(0, lambda: self._settle_stream(running))

    def _end(self, running: Running) -> None:
        if running.stream is not None:  # nobody reads it any more
            self._signal(running, _signal.SIGPIPE)
            self._signal(running, _signal.SIGCONT)
            self._after(TERM_AFTER_PIPE_S, lambda: self._terminate(running))
        else:
            self._terminate(running)
        if running.is_child and monotonic() - running.launched_at_s < YOUNG_S:
            self._after(YOUNG_TERM_AGAIN_S, lambda: self._terminate(running))
        self._after(KILL_AFTER_S, lambda: self._kill(running))

    def resume(self, id: AttemptId, *, in_foreground: bool) -> None:
        """Lets a stopped process go on (`fg`, `bg`); one that goes on already gets the terminal (`fg` after `bg`)."""
        running = self._running.get(id)
        if running is None or not (running.is_stopped or in_foreground):
            return
        was_stopped, running.is_stopped = running.is_stopped, False
        if in_foreground and running.handover is not None:
            running.handover.lend(running.pid)
        self._signal(running, _signal.SIGCONT)
        if was_stopped:
            self._poll_for_stop(running)

    def settled(self, id: AttemptId, job_uid: str, arguments: Mapping[str, Value], outcome: Value) -> None:
        """Removes the files of an attempt, but what it wrote and its recorded outcome does not hold.

        That is done while the next command runs: a file system that is just committing makes it wait.
        """
        directory = spool.attempt_directory(self._fx_directory, job_uid, id.step, id.attempt)
        if not self._settled:
            self._after(SETTLE_AFTER_S, self._remove_settled)
        self._settled.append((directory, spool.unrecorded(directory, arguments, outcome)))

    def _remove_settled(self) -> None:
        while self._settled:
            directory, kept = self._settled.pop()
            terms.forget(directory)
            spool.settle(directory, kept=kept)

    def close(self) -> None:
        for running in self._running.values():
            running.is_child = False  # we go, and it goes on without the terminal
            self._release(running)
            if running.feed is not None:
                running.feed.close()
            if running.stream is not None:
                running.stream.close()
        self._running.clear()
        self._remove_settled()

    # -- where an attempt stands

    def _settle(self, running: Running) -> None:
        """Finds out where an attempt stands, and does what follows: start it, wait for it, or report its outcome."""
        try:
            outcome = self._find_outcome(running)
        except wrapper.Unstartable as refusal:
            outcome = Failed(
                error_value(refusal.kind, refusal.message, status=refusal.status, command=refusal.command or None)
            )
        except Raised as failure:  # a secret that is not there
            outcome = Failed(failure.error)
        except OSError as error:
            outcome = refused_by_system(running, error)
        if outcome is not None:
            if running.relay is not None:
                running.relay.pump()
            if running.feed is not None:
                running.feed.close()
            if running.stream is not None:
                running.stream.close()
            self._release(running)
            del self._running[running.attempt.id]
            running.post(running.attempt.id, outcome)

    def _find_outcome(self, running: Running) -> Outcome | None:
        """The outcome; None where it is still to come, and then something is set up that calls `_settle` again."""
        if not running.was_launched:
            spool.make_directory(running.directory)
        statuses = spool.read_statuses(running.directory, running.stage_count)
        if statuses is not None:
            return self._ended(running, statuses)
        lock = spool.take_lock(running.directory, "wrapper.lock")
        if lock is None:
            self._await_wrapper(running)
            if running.is_fed and not running.was_launched and not running.has_all_input:  # who fed it is gone
                running.is_cut_off = True
                self._end(running)
            return None
        try:
            return self._find_outcome_locked(running, lock)
        finally:
            os.close(lock)

    def _find_outcome_locked(self, running: Running, lock: int) -> Outcome | None:
        statuses = spool.read_statuses(running.directory, running.stage_count)
        claim = spool.read_claim(running.directory)
        if statuses is None and claim is not None and claim.boot_id == self._boot_id:
            statuses = spool.adopt_statuses(running.directory, running.stage_count, is_kept=False)
        if statuses is not None:
            return self._ended(running, statuses)
        if claim is None:
            return self._unclaimed(running, lock)
        if not running.is_killed and spool.is_locked(running.directory, "command.lock"):
            running.pid = claim.pid if claim.boot_id == self._boot_id else 0
            self._poll(running, LOCK_POLL_S)
            return None
        if running.is_too_long:
            return too_long(running, self._output_bytes_max)
        return Cancelled() if running.is_cancelled else lost(running, claim.mode)

    def _unclaimed(self, running: Running, lock: int) -> Outcome | None:
        """Nothing ran, as far as the directory says. A claim of a boot that ended without warning may be missing."""
        if running.is_cancelled:
            return Cancelled()
        if running.was_launched and os.WIFSIGNALED(running.wait_status or 0):
            number = os.WTERMSIG(running.wait_status or 0)
            if number != _signal.SIGKILL:  # Ctrl-C was faster than the start: the signal was meant for the command
                return self._ended(running, [128 + number] * running.stage_count)
        if running.was_launched:
            message = f"{running.command} could not be started: its wrapper ended at once (is the disk full?)"
            return Failed(failure(running, "exit", message, status=126), should_retry=True, attempts_max=3)
        begun = running.begun
        if begun is not None and begun.boot_id != self._boot_id:
            return lost(running, begun.mode)
        self._launch(running, lock)
        return None

    def _ended(self, running: Running, statuses: list[int]) -> Outcome | None:
        """What a cancelled process did counts as done only if it succeeded all the same."""
        if running.is_cancelled and (any(statuses) or running.stream is not None):
            return Cancelled()
        if running.is_cut_off:
            return lost(running, running.mode_before)
        if running.feed is not None and running.feed.failure is not None:
            return Failed(running.feed.failure)
        statuses = statuses[running.is_fed :]
        if running.stream is not None and running.stream.must_run_again:
            return lost(running, "spool")
        if running.stream is not None and not running.stream.is_drained():
            return None
        value: dict[str, Value] = {"statuses": statuses, "output": None}
        if descriptors.has_redirections(running.attempt):
            from fmsh.connectors.redirecting import remove_texts

            remove_texts(running.directory, running.attempt.arguments["stages"])
        for stream, name in (("output", "out"), ("errors", "err")):
            path = f"{running.directory}/{name}"
            if running.attempt.arguments.get(stream) == "capture":
                if spool.size_of(path) > self._output_bytes_max:
                    return too_long(running, self._output_bytes_max)
                value[stream] = spool.read_text(path)
            elif running.stream is None or name != "out":
                cutting.cut(path, self._output_bytes_max)
        if running.attempt.arguments.get("is_secret"):
            assert self._sealer is not None
            value["output"] = self._sealer()(value["output"].rstrip("\n"))
        tail = spool.read_tail(f"{running.directory}/err", spool.STDERR_TAIL_BYTES)
        value["stderr"] = tail.decode("utf-8", "surrogateescape")
        if running.stream is not None:
            return running.stream.outcome(value)
        return Done(value, spool.was_interrupted(running.directory))

    # -- starting

    def _launch(self, running: Running, lock: int) -> None:
        """Starts the wrapper with `wrapper.lock` in its hands. Raises: Unstartable, OSError; nothing has run then."""
        attempt = running.attempt
        descriptors.check_directory(attempt.directory)
        stages = descriptors.prepare_stages(attempt, running.directory, self._reveal, self._environments)
        launch = wrapper.plan(
            stages,
            environments=self._environments,
            attempt=running.directory,
            boot_id=self._boot_id,
            mode=running.mode,
            directory=attempt.directory,
            spooled=descriptors.spooled_outputs(attempt) if attempt.arguments["output"] != "fold" else (),
            umask=self._umask if attempt.umask is None else attempt.umask,
        )
        spool.clear_claim(running.directory)
        if attempt.begun_by is None and (attempt.is_once or running.mode != "spool"):
            terms.write(running.directory, self._boot_id, running.mode)
        self._spawn(running, launch, lock)
        running.was_launched = running.is_child = True
        running.launched_at_s = monotonic()
        self._watch_wrapper(running)
        self._poll_for_stop(running)
        self._remove_settled()
        if self._relay is not None and descriptors.is_heard(attempt):
            from fmsh.connectors.relay import Relay

            running.relay = Relay(f"{running.directory}/err", self._relay)
            self._after(running.relay.pause_s, lambda: self._pump(running))

    def _pump(self, running: Running) -> None:
        if self._running.get(running.attempt.id) is running and running.relay is not None:
            running.relay.pump()
            self._after(running.relay.pause_s, lambda: self._pump(running))

    def _spawn(self, running: Running, launch: wrapper.Launch, lock: int) -> None:
        attempt, sources = running.attempt, descriptors.Sources()
        grouping: Any = {"setsid": True} if running.mode == "spool" else {"setpgroup": 0}
        try:
            descriptors.open_sources(sources, attempt, directory=running.directory, lock=lock, reveal=self._reveal)
            if running.mode == "tty" and attempt.terminal is not None:
                from fmsh.connectors.handover import Handover

                running.handover = Handover(attempt.terminal.stdin, running.directory, running.stage_count)
                running.handover.give(sources)
            running.pid = os.posix_spawn(
                wrapper.SHELL,
                launch.argv,
                launch.environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in sources.by_target.items()],
                setsigmask=(),
                setsigdef=children.DEFAULT_SIGNALS,
                **grouping,
            )
            if running.handover is not None:
                running.handover.follow(running.pid, lambda: self._terminate(running), self._watch, self._unwatch)
            if sources.feed >= 0:
                running.feed, sources.feed = self._feed(running, sources.feed), -1
        finally:
            sources.close()

    def _feed(self, running: Running, fd: int) -> Feed:
        from fmsh.connectors.feeding import Feed

        assert self._sources is not None
        return Feed(running, fd, self._sources, after=self._after, fail=lambda: self._end(running))

    # -- waiting

    def _await_wrapper(self, running: Running) -> None:
        """Somebody holds wrapper.lock: our child, the wrapper of a process that died, or who is just starting it."""
        claim = spool.read_claim(running.directory)
        if running.is_child or claim is None or claim.boot_id != self._boot_id:
            return self._poll(running, LOCK_POLL_S)
        running.pid = claim.pid
        if running.pidfd < 0 and children.is_wrapper(claim.pid, running.directory):
            self._watch_wrapper(running)
            # The lock tells more than a pid and its start time: if it is held now, the pid was not reused before.
            if spool.is_locked(running.directory, "wrapper.lock"):
                return None
            self._release(running)
        return self._poll(running, LOCK_POLL_S)

    def _watch_wrapper(self, running: Running) -> None:
        try:
            running.pidfd = os.pidfd_open(running.pid)
        except (AttributeError, OSError):
            return self._poll(running, CHILD_POLL_S if running.is_child else LOCK_POLL_S)
        return self._watch(running.pidfd, lambda: self._wrapper_ended(running))

    def _wrapper_ended(self, running: Running) -> None:
        if self._running.get(running.attempt.id) is not running:
            return
        if not self._is_unburied(running):
            self._release(running)
            self._settle(running)

    def _poll(self, running: Running, bounds_s: tuple[float, float]) -> None:
        running.poll_s = min(max(running.poll_s * 2, bounds_s[0]), bounds_s[1])
        self._after(running.poll_s, lambda: self._look_again(running))

    def _look_again(self, running: Running) -> None:
        if self._running.get(running.attempt.id) is not running or running.pidfd >= 0:
            return
        if self._is_unburied(running):
            return self._poll(running, CHILD_POLL_S)
        self._release(running)
        return self._settle(running)

    def _is_unburied(self, running: Running) -> bool:
        """Whether the wrapper is a child of ours that has not ended yet. One that has ended is a child no more."""
        if running.is_child:
            running.wait_status = children.reap(running.pid)
            running.is_child = running.wait_status is None
        return running.is_child

    def _release(self, running: Running) -> None:
        """Stops watching an attempt, and takes back the terminal that was lent to it."""
        if running.pidfd >= 0:
            self._unwatch(running.pidfd)
            os.close(running.pidfd)
            running.pidfd = -1
        if running.handover is not None and not running.is_child:
            running.handover.take_back(is_restored=True)
            running.handover.close()
            running.handover = None

    # -- bounds

    def _bound(self, running: Running) -> None:
        if self._running.get(running.attempt.id) is not running:
            return
        if running.bounds is None:
            given, directory, most = running.attempt.arguments, running.directory, self._output_bytes_max
            running.bounds = cutting.bounds_of(given, directory, most, is_streamed=running.stream is not None)
        if running.bounds.look():
            self._after(running.bounds.pause_s, lambda: self._bound(running))
        elif not running.is_cancelled:
            running.is_too_long = True
            self._terminate(running)
            self._after(KILL_AFTER_S, lambda: self._kill(running))

    # -- signals and stops

    def _terminate(self, running: Running) -> None:
        if self._running.get(running.attempt.id) is running:
            self._signal(running, _signal.SIGTERM)
            self._signal(running, _signal.SIGCONT)

    def _kill(self, running: Running) -> None:
        if self._running.get(running.attempt.id) is running:
            running.is_killed = True
            self._signal(running, _signal.SIGKILL)

    def _signal(self, running: Running, number: int) -> None:
        """Signals the process group of an attempt, if it is certain that the group is still that of the attempt."""
        if running.pid <= 0:
            return
        try:
            if running.pidfd >= 0 and not running.is_child:
                children.signal_group(running.pidfd, running.pid, number)
            elif running.is_child or children.has_kept_its_number(running.pid, running.directory):
                os.killpg(running.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def _poll_for_stop(self, running: Running) -> None:
        if running.handover is not None and self._on_stopped is not None:
            self._after(STOP_POLL_S, lambda: self._look_for_stop(running))

    def _look_for_stop(self, running: Running) -> None:
        """A pidfd does not tell of a stop, and SIGCHLD belongs to whoever assembles us; so the process is asked."""
        if self._running.get(running.attempt.id) is not running or running.is_stopped or running.handover is None:
            return
        if not children.was_stopped(running.pid):
            return self._poll_for_stop(running)
        running.is_stopped = True
        running.handover.take_back(is_restored=True)
        assert self._on_stopped is not None
        return self._on_stopped(running.attempt.id)
