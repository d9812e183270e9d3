"""The language by example: each program of `transcripts/` runs in three ways, with the same output.

1. straight through; 2. the machine saved and restored before every event; 3. killed after every append: the process is
gone after its n-th commit, for every n, and another goes on from the store (for every second n from snapshots).

Everything is real but the disk: the parser, the compiler, the machine, the engine, and external commands. What a job
displayed is read back from its events and from the files of its processes.

A transcript is a text of cases. `===` and a title begin a case; its program follows, and then, each where it is not
empty or not the default, the parts

    --- files          lines `NAME: TEXT`: files of the directory that it runs in
    --- args           the arguments of the script, one a line
    --- deliver        lines `N JSON`: bodies for the N-th callback, each delivered when the job waits
    --- cancel         the job is cancelled when it waits for the first time
    --- out            what it displays
    --- err            what it displays on standard error, and the error that ends it
    --- status N       its exit status
    --- asks           what it asks of the world
    --- warnings       what a check says of it

`python -m tests.test_transcripts FILE…` writes the parts after what happens; read the difference before you keep it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from typing import Any

import pytest

from fmsh import child_jobs, exchange, wire
from fmsh.assembly import check, load_program, make_program
from fmsh.connectors import reading_kinds
from fmsh.connectors.base import Attempt
from fmsh.connectors.callback import Address, CallbackConnector
from fmsh.connectors.children import read_boot_id
from fmsh.connectors.files import FileConnector
from fmsh.connectors.messages import MessageConnector
from fmsh.connectors.process import ProcessConnector
from fmsh.connectors.timer import TimerConnector
from fmsh.engine import recording, snapshots
from fmsh.engine.engine import Engine, NewRun
from fmsh.engine.loop import Loop
from fmsh.errors import SourceError, UsageError
from fmsh.jobs.outputs import Output
from fmsh.lang.arguments import bind_texts
from fmsh.machine.events import RequestMade
from fmsh.machine.machine import Machine
from fmsh.observing import observe
from fmsh.render.diagnostics import render
from fmsh.spans import Source
from fmsh.store.base import NewCallback, NewJob
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.values import ErrorValue, Raised

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")
FILES = sorted(name for name in os.listdir(HERE) if name.endswith(".txt"))
PARTS = ("files", "args", "deliver", "cancel", "out", "err", "status", "asks", "warnings")
GIVEN = ("files", "args", "deliver", "cancel")
SCRIPT = "script.fmsh"
WITHIN_S = 20.0
COMMITS_MAX = 60  # kills of one case


class Case:
    """One program, with what is given to it and what is expected of it."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.program = ""
        self.parts: dict[str, str] = {}

    @property
    def status(self) -> int:
        return int(self.parts.get("status", "0"))


def read(name: str) -> tuple[str, list[Case]]:
    """Reads a transcript: what stands before the first case, and the cases."""
    head, cases, part = "", [], ""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        for line in file:
            if line.startswith("=== "):
                cases.append(Case(line[4:].strip()))
                part = ""
            elif not cases:
                head += line
            elif line.startswith("--- "):
                part, _, value = line[4:].strip().partition(" ")
                assert part in PARTS, f"{name}: there is no part {part}"
                cases[-1].parts[part] = value
            elif part:
                cases[-1].parts[part] += line
            else:
                cases[-1].program += line
    for case in cases:
        case.program = case.program.rstrip("\n") + "\n"
        case.parts = {part: _whole_lines(text) for part, text in case.parts.items()}
    return head, cases


def _whole_lines(text: str) -> str:
    """A text without its blank last lines; a transcript cannot say whether the last newline is there."""
    return text.rstrip("\n") + "\n" if text.rstrip("\n") else ""


def write(name: str, head: str, cases: list[Case]) -> None:
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        file.write(head)
        for case in cases:
            file.write(f"=== {case.title}\n{case.program}")
            for part in PARTS:
                text = case.parts.get(part)
                if part == "status":
                    file.write(f"--- status {case.status}\n" if case.status else "")
                elif text is not None and (text or part in ("cancel", "asks", "warnings")):
                    file.write(f"--- {part}\n{_whole_lines(text)}")
            file.write("\n")


# ---- Running


class Killed(BaseException):
    """The process is gone: no code of ours handles this."""


class DyingStore(MemoryStore):
    """The store of a process that is killed just after its n-th commit. Creating a job is a commit too."""

    commits = 0
    dies_at: int | None = None

    def create_job(self, *arguments: Any, **named: Any) -> Any:
        answer = super().create_job(*arguments, **named)
        self._pass()
        return answer

    def commit(self, appends: Any) -> Any:
        answers = super().commit(appends)
        self._pass()
        return answers

    def _pass(self) -> None:
        self.commits += 1
        if self.commits == self.dies_at:
            raise Killed


class Run:
    """One run of a case, over one or more processes."""

    def __init__(self, case: Case, directory: str) -> None:
        self.case = case
        self.disk = MemoryDisk()
        self.directory = directory
        self.work = os.path.join(directory, "work")
        os.makedirs(self.work)
        self.fx_directory = os.path.join(directory, "fx")
        for line in case.parts.get("files", "").splitlines():
            name, _, text = line.partition(": ")
            os.makedirs(os.path.dirname(os.path.join(self.work, name)), exist_ok=True)
            with open(os.path.join(self.work, name), "w", encoding="utf-8") as file:
                file.write(text.encode().decode("unicode_escape"))
        self.reports: list[str] = []
        self.callbacks: list[NewCallback] = []
        self.deliveries = [line.partition(" ") for line in case.parts.get("deliver", "").splitlines()]
        self.is_cancelled = "cancel" not in case.parts
        self.source = Source(SCRIPT, case.program)
        self.store: DyingStore
        self.engine: Engine

    def begin(self, dies_at: int | None = None) -> None:
        """Starts a process."""
        store = self.store = DyingStore(self.disk, kind="shell", boot_id=read_boot_id())
        store.dies_at = dies_at
        loop = self.loop = Loop()
        self.engine = Engine(
            store, self.connectors(loop), loop, load_program=load_program, observe=_observe,
            clock_ms=_Clock().wall_ms, report=self.reports.append,
        )  # fmt: skip

    def connectors(self, loop: Loop) -> dict[str, Any]:
        return {
            "process": ProcessConnector(
                self.fx_directory,
                loop.watch,
                loop.unwatch,
                str,
                loop.after,
                sources=lambda name: reading_kinds.make(name, loop.after, _Clock()),
            ),
            "timer": TimerConnector(loop.after, _Clock()),
            "file": FileConnector(str),
            **{name: reading_kinds.make(name, loop.after, _Clock()) for name in ("follow", "times", "range")},
            "job": MessageConnector(
                "job", {"start": self._start_child, "cancel": self._cancel_children, "find": self._find_job}
            ),
            "lock": MessageConnector("lock", {"claim": lambda attempt: exchange.claim_lock(self.store, attempt)}),
            "limit": MessageConnector(
                "limit",
                {
                    "claim": lambda attempt: exchange.claim_place(self.store, attempt),
                    "reserve": lambda attempt: exchange.reserve(self.store, attempt),
                },
            ),
            "callback": CallbackConnector(self._open, lambda: "http://here", lambda count: bytes(count)),
        }

    def _start_child(self, attempt: Attempt) -> Any:
        return child_jobs.start(self.engine, attempt)

    def _cancel_children(self, attempt: Attempt) -> Any:
        return child_jobs.cancel(self.store, attempt)

    def _find_job(self, attempt: Attempt) -> Any:
        return child_jobs.find(self.store, attempt)

    def _open(self, opened: Address) -> None:
        handle = opened.handle_id
        number = next((index for index, known in enumerate(self.callbacks) if known.handle_id == handle), None)
        hash = bytes([len(self.callbacks) if number is None else number]) * 32
        new = NewCallback(opened.job_id, handle, hash, opened.expires_at_ms, opened.methods, opened.is_many)
        self.store.open_callback(new)
        if number is None:
            self.callbacks.append(new)

    def start(self) -> None:
        """Starts the job. Raises: SourceError, UsageError."""
        with chdir(self.work):  # modules are found there
            stored, program = make_program(self.source)
        arguments = self.case.parts.get("args", "").splitlines()
        variables: dict[str, Any] = {}
        if program.parameters.signature.parameters:
            variables, arguments = bind_texts(program.parameters.signature, arguments)
        job = NewJob("uid", SCRIPT, SCRIPT, 1, stored)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        options = {"variables": variables} if variables else {}
        self.engine.submit(NewRun(job, program, arguments, environment, self.work, "UTC", options), is_foreground=False)

    def run_on(self) -> None:
        """Runs the job until it has ended or parked, with what comes from outside."""
        until_s = time.monotonic() + WITHIN_S
        while 1 in self.engine.workers and not self.engine.workers[1].is_parked:
            assert time.monotonic() < until_s, f"{self.case.title}: it does not end"
            self.engine.step(0.01)
            self._come_from_outside()
            self._run_children()

    def _come_from_outside(self) -> None:
        job = self.store.job(1)
        if job is None or job.state != "waiting":
            return
        if self.deliveries and int(self.deliveries[0][0]) <= len(self.callbacks):
            number, _, body = self.deliveries.pop(0)
            to = self.callbacks[int(number) - 1]
            delivery = wire.encode({"body": json.loads(body), "method": "POST", "headers": {}, "query": {}})
            name = f"delivery {len(self.deliveries)}"
            self.store.deliver_callback(to.token_hash, delivery, dedupe_id=name, method="POST", now_ms=0)
            self.engine.look()
        elif not self.is_cancelled and not self.deliveries:
            self.is_cancelled = True
            self.store.deliver(1, "cancel", "{}", dedupe_id="cancel")
            self.engine.look()

    def _run_children(self) -> None:
        """Takes up the jobs that the job has started, as the daemon does."""
        self.store.reap()
        for id in self.store.due(_Clock().wall_ms(), limit=100):
            self.engine.adopt(id)
        self.engine.look()

    def die(self) -> None:
        self.store.crash()
        self.loop.close()

    # -- what happened

    def outcome(self) -> dict[str, str]:
        """The parts of the case as they are in this run."""
        job = self.store.job(1)
        assert job is not None
        assert not self.reports, self.reports[0]
        found = {"out": "", "err": "", "asks": "", "status": str(job.exit_status or 0)}
        output = Output(self.fx_directory, job.uid)
        for stored in self.store.events(1):
            event = recording.read(self.store, stored)
            for chunk in output.take(event):
                text = chunk.data if isinstance(chunk.data, str) else chunk.data.decode("utf-8", "replace")
                found["err" if chunk.stream == "err" else "out"] += text
            if isinstance(event, RequestMade):
                found["asks"] += _ask(event) + "\n"
        error = None if job.error_json is None else wire.decode(job.error_json)
        if isinstance(error, ErrorValue):
            found["err"] += f"parked: {error.message}\n" if job.state == "parked" else _told(error)
        return {part: text.replace(self.work, "/here") for part, text in found.items()}


def _told(error: ErrorValue) -> str:
    """What an uncaught error says, without the pictures that a person is shown."""
    place = error.fields.get("where") or {"line": 0, "column": 0}
    hint, trace, stderr = (error.fields.get(name) for name in ("hint", "trace", "stderr"))
    told = f"{error.kind} error at {place['line']}:{place['column']}: {error.message}\n"
    told += f"hint: {hint}\n" if hint else ""
    told += "".join(f"in {call['function']}, called at {call['line']}:{call['column']}\n" for call in trace or [])
    return told + "".join(f"| {line}\n" for line in (stderr or "").splitlines())


class _Clock:
    def wall_ms(self) -> int:
        return time.time_ns() // 10**6

    def boot_ms(self) -> int:
        return time.monotonic_ns() // 10**6


def _observe(operation: str, arguments: Any) -> Any:
    try:
        return observe(operation, arguments)
    except Raised as problem:
        return problem.error


def _ask(event: RequestMade) -> str:
    arguments = event.arguments
    if event.connector == "process":
        shown = " | ".join(" ".join(stage["argv"]) for stage in arguments["stages"])
        return f"process {arguments['output']}: {shown}"
    return f"{event.connector} {event.operation} {wire.encode(arguments)}"


def _refused(problem: SourceError | UsageError) -> dict[str, str]:
    if isinstance(problem, SourceError):
        text = render(problem.diagnostics, color=False)
    else:
        text = f"fmsh: {problem.message}\n" + (f"  {problem.hint}\n" if problem.hint else "")
    return {"out": "", "err": text, "asks": "", "status": "2"}


def straight(case: Case) -> dict[str, str]:
    """Runs a case from its start to its end in one process."""
    with tempfile.TemporaryDirectory() as directory:
        run = Run(case, directory)
        run.begin()
        try:
            run.start()
        except (SourceError, UsageError) as problem:
            refused = {part: text.replace(run.work, "/here") for part, text in _refused(problem).items()}
            return {**refused, "commits": "0"}
        run.run_on()
        found = run.outcome()
        found["commits"] = str(run.store.commits)
        run.die()
        return found


def killed(case: Case, dies_at: int) -> dict[str, str]:
    """Runs a case in a process that dies after its n-th commit, and on in another."""
    with tempfile.TemporaryDirectory() as directory:
        run = Run(case, directory)
        run.begin(dies_at)
        try:
            run.start()
            run.run_on()
        except Killed:
            run.die()
            run.begin()
            job = run.store.job(1)
            assert job is not None
            if job.ended_at_ms is None:
                assert run.engine.adopt(1)
                run.run_on()
        found = run.outcome()
        run.die()
        return found


@contextmanager
def saved_before_every_event(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes every machine that is fed one that was saved and restored."""
    feed = Machine.feed

    def feed_a_restored_one(self: Machine, event: Any) -> None:
        if not self.ready and not self.observing and not self.effects:
            restored = Machine.restore(self.program, self.base_environment, self.snapshot())
            self.__dict__.update(restored.__dict__)
        feed(self, event)

    with patch.context() as within:
        within.setattr(Machine, "feed", feed_a_restored_one)
        yield


# ---- The tests


def _expected(case: Case) -> dict[str, str]:
    expected = {part: case.parts.get(part, "") for part in ("out", "err")}
    expected["status"] = str(case.status)
    if "asks" in case.parts:
        expected["asks"] = case.parts["asks"]
    return expected


def _same(case: Case, found: dict[str, str], how: str) -> None:
    for part, text in _expected(case).items():
        shown = found[part] if part == "status" else _whole_lines(found[part])
        assert shown == text, f"{case.title}, {how}: {part} is\n{shown}instead of\n{text}"


@pytest.mark.parametrize("name", FILES)
def test_straight_through(name: str) -> None:
    for case in read(name)[1]:
        _same(case, straight(case), "straight")


@pytest.mark.parametrize("name", FILES)
def test_saved_and_reloaded_before_every_event(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with saved_before_every_event(monkeypatch):
        for case in read(name)[1]:
            _same(case, straight(case), "saved and reloaded")


@pytest.mark.parametrize("name", FILES)
def test_killed_after_every_append(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in read(name)[1]:
        commits = int(straight(case).get("commits", "0"))
        assert commits <= COMMITS_MAX, f"{case.title}: it is too long for this"
        for dies_at in range(1, commits + 1):
            with monkeypatch.context() as within:
                if dies_at % 2 == 0:
                    within.setattr(snapshots, "INTERVAL_EVENTS", 1)
                    within.setattr(snapshots, "SAVE_SHARE", 0)
                _same(case, killed(case, dies_at), f"killed after commit {dies_at}")


@pytest.mark.parametrize("name", FILES)
def test_what_a_check_says(name: str) -> None:
    for case in read(name)[1]:
        if "warnings" in case.parts:
            assert _warnings(case) == case.parts["warnings"], case.title


def _warnings(case: Case) -> str:
    return render(check(Source(SCRIPT, case.program)).problems, color=False)


def main(names: list[str]) -> None:
    for name in names:
        head, cases = read(os.path.basename(name))
        for case in cases:
            found = straight(case)
            for part in ("out", "err", "status"):
                case.parts[part] = found[part]
            if "asks" in case.parts:
                case.parts["asks"] = found["asks"]
            if "warnings" in case.parts:
                case.parts["warnings"] = _warnings(case)
        write(os.path.basename(name), head, cases)


if __name__ == "__main__":
    main(sys.argv[1:])
