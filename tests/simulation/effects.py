"""The world that jobs act on: a server that knows idempotency keys, commands that outlive whoever started them.

How a request ends depends on the job's fate, the task that asks and what it asks, never on when or how often it is
asked; so that whatever happens to the processes, the same job has the same outcomes.

The `Ledger` judges each effect in the moment in which it is begun: by whom, under which lease, and whether its intent
stands in the history.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zlib import crc32

from fmsh.connectors.base import Attempt, AttemptId, Cancelled, Done, Failed, Items, Outcome
from fmsh.values import are_equal, error_value

if TYPE_CHECKING:
    from fmsh.connectors.base import Connector, Post
    from tests.simulation.owners import Owner
    from tests.simulation.world import World

ATTEMPTS_MAX = 3  # of an HTTP request, as `fmsh.connectors.http_answer` has it by default
# The addresses that only blocks of a lock or a limit ask, with its kind, name and size.
GUARDED = {"http://world/lock": ("lock", "deploy", 1), "http://world/place": ("limit", "place", 2)}
KILL_S = 0.2  # until a command has died of a signal


class Ledger:
    """Every attempt that was started, and every effect that was done."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.started: dict[AttemptId, list[tuple[Owner, int]]] = {}  # by whom, and in which epoch
        self.answered: set[tuple[AttemptId, Owner]] = set()
        self.done: dict[AttemptId, int] = {}  # how often its effect happened

    def start(self, owner: Owner, connector: str, attempt: Attempt) -> None:
        """A connector is asked to act. Says what is wrong with that."""
        id = attempt.id
        wrong = self._wrong(owner, connector, attempt)
        if wrong:
            self._world.violate(f"{owner.name} starts step {id.step}.{id.attempt} of job {id.job_id}: {wrong}")
        self._world.log(f"{owner.name} starts {connector} {_what(attempt)} as {id.job_id}.{id.step}.{id.attempt}")
        story = self._world.journal.stories.get(id.job_id)
        self.started.setdefault(id, []).append((owner, story.epoch if story else 0))

    def _wrong(self, owner: Owner, connector: str, attempt: Attempt) -> str:
        id = attempt.id
        story = self._world.journal.stories.get(id.job_id)
        intent = story.requests.get(id.step) if story else None
        if story is None or intent is None:
            return "an effect without its recorded intent"
        if intent["connector"] != connector or not are_equal(intent["arguments"], attempt.arguments):
            return f"its intent is another: {intent}"
        if id.attempt != story.failures.get(id.step, 0) + 1:
            return f"an attempt without its recorded intent: {story.failures.get(id.step, 0)} have failed"
        if id.step in story.completed or story.has_ended:
            return "its outcome is recorded already"
        if story.holder is not owner:
            return f"the lease is {story.holder.name if story.holder else 'nobody'}'s"
        if attempt.arguments.get("url") in GUARDED:
            return self._wrong_guard(owner, attempt)
        if connector != "timer":
            return self._wrong_again(owner, attempt, story.epoch)
        return ""

    def _wrong_guard(self, owner: Owner, attempt: Attempt) -> str:
        """An effect in the block of a lock or a limit: as many jobs at most have one there, and each has its claim."""
        url: Any = attempt.arguments["url"]
        kind, name, size = GUARDED[url]
        inside = {
            story.job_id
            for story in self._world.journal.stories.values()
            for step, request in story.requests.items()
            if not story.has_ended and step not in story.completed and _url(request) == url
        }
        if len(inside | {attempt.id.job_id}) > size:
            return f"jobs {sorted(inside)} are inside of {kind} {name}"
        holders = [claim.job_id for claim in owner.store.claims(kind, name) if claim.is_granted]
        if len(holders) > size or attempt.id.job_id not in holders:
            return f"{kind} {name} is held by {holders}"
        return self._wrong_again(owner, attempt, self._world.journal.stories[attempt.id.job_id].epoch)

    def _wrong_again(self, owner: Owner, attempt: Attempt, epoch: int) -> str:
        before = self.started.get(attempt.id, [])
        if not before:
            return ""
        former, former_epoch = before[-1]
        if former_epoch == epoch:
            return "twice under one lease"
        if not attempt.is_resumed:
            return f"{former.name} has started it, and this one is not told"
        is_hurried = self._world.journal.stories[attempt.id.job_id].releases.get(former_epoch)
        is_in_flight = (attempt.id, former) not in self.answered
        if is_hurried is False and is_in_flight and attempt.arguments.get("method") == "POST":
            return f"{former.name} gave the job back while this was in flight"
        return ""

    def read(self, id: AttemptId, position: Any) -> None:
        """A stream is asked for its next items, by whoever has recorded all before."""
        recorded = self._world.journal.stories[id.job_id].positions.get(id.step)
        if recorded != position:
            self._world.violate(
                f"step {id.step} of job {id.job_id} is read after {position}, and recorded to {recorded}"
            )

    def happen(self, attempt: Attempt) -> None:
        """An effect happens in the world."""
        id = attempt.id
        self.done[id] = self.done.get(id, 0) + 1
        if attempt.is_once and self.done[id] > 1:
            self._world.violate(f"step {id.step}.{id.attempt} of job {id.job_id} is done twice inside `once`")


def _url(request: dict[str, Any]) -> object:
    return request["arguments"].get("url")


def _what(attempt: Attempt) -> str:
    arguments = attempt.arguments
    if "stages" in arguments:
        return " ".join(arguments["stages"][0]["argv"])
    if "value" in arguments:
        return f"{attempt.operation} {arguments['value']}"
    return str(arguments.get("url") or arguments.get("duration") or attempt.operation)


class Witness:
    """Stands before a connector: tells the ledger, sees that each attempt is answered once, and is where owners die."""

    def __init__(self, owner: Owner, name: str, connector: Connector) -> None:
        self._owner = owner
        self._name = name
        self._connector = connector

    def start(self, attempt: Attempt, post: Post) -> None:
        owner = self._owner
        owner.world.ledger.start(owner, self._name, attempt)
        owner.may_die()
        answers = 0

        def answer(id: AttemptId, outcome: Outcome | Items) -> None:
            nonlocal answers
            answers += not isinstance(outcome, Items)
            if answers > 1:
                owner.world.violate(f"step {id.step}.{id.attempt} of job {id.job_id} is answered twice: {outcome}")
            if not isinstance(outcome, Items):
                owner.world.ledger.answered.add((id, owner))
            if not owner.is_dead:
                owner.world.log(f"{owner.name} hears of {id.job_id}.{id.step}.{id.attempt}: {outcome}")
                post(id, outcome)

        self._connector.start(attempt, answer)
        owner.may_die()

    def cancel(self, id: AttemptId) -> None:
        self._owner.world.log(f"{self._owner.name} cancels {id.job_id}.{id.step}.{id.attempt}")
        self._connector.cancel(id)

    def read(self, id: AttemptId, position: Any) -> None:
        self._owner.world.log(f"{self._owner.name} reads on {id.job_id}.{id.step}.{id.attempt} after {position}")
        self._owner.world.ledger.read(id, position)
        assert isinstance(self._connector, Commands | HttpRequests)
        self._connector.read(id, position)

    def forget(self, id: AttemptId) -> None:
        assert isinstance(self._connector, Commands | HttpRequests)
        self._connector.forget(id)

    def close(self) -> None:
        self._connector.close()


class Fate:
    """How the requests of one job end. `number` is the job's seed."""

    def __init__(self, number: int) -> None:
        self.number = number
        drawn = random.Random(f"fate {number}")
        self.failures = drawn.choice([0, 0.05, 0.2])
        self.hiccups = drawn.choice([0, 0.2, 0.4])

    def of(self, task: object, *what: object) -> random.Random:
        return random.Random(crc32(f"{self.number} {task} {what}".encode()))


class HttpRequests:
    """Requests to the server, over a network that delays. What is sent may arrive although its sender is gone.

    What is read as a stream has batches of items, by the job's fate, which go through the stages of the attempt.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._world = owner.world
        self._open: dict[AttemptId, Post] = {}
        self._streams: dict[AttemptId, ReadStream] = {}
        self._ends: dict[AttemptId, Outcome] = {}  # of streams whose answer has begun

    def start(self, attempt: Attempt, post: Post) -> None:
        if attempt.is_resumed and attempt.is_once:
            post(attempt.id, Failed(error_value("lost", "it may have been done")))
            return
        self._open[attempt.id] = post
        if attempt.make_chain is not None:
            self._streams[attempt.id] = ReadStream(self._world, attempt)
        self._world.time.after(self._world.latency_s(), lambda: self._arrive(attempt))

    def _arrive(self, attempt: Attempt) -> None:
        is_wanted = attempt.id in self._open and not self._owner.is_dead
        if not is_wanted and self._world.random.random() < 0.5:
            return  # it was not on its way yet
        outcome = _http_outcome(self._world, attempt)
        is_done = not (isinstance(outcome, Failed) and outcome.should_retry)
        if is_done:
            self._world.ledger.happen(attempt)
        stream = self._streams.get(attempt.id)
        if stream is not None and is_done:
            outcome = stream.outcome(Done({"statuses": []}) if isinstance(outcome, Done) else outcome)
            if attempt.arguments["output"] == "stream":
                self._ends[attempt.id] = outcome
                return
        self._world.time.after(self._world.latency_s(), lambda: self._answer(attempt.id, outcome))

    def read(self, id: AttemptId, position: Any) -> None:
        self._world.time.after(self._world.latency_s(), lambda: self._read(id))

    def _read(self, id: AttemptId) -> None:
        if id not in self._open or self._owner.is_dead:
            return
        if id not in self._ends:  # its answer has not begun
            self.read(id, None)
            return
        items = self._streams[id].next()
        if items is not None:
            self._open[id](id, items)
        else:
            self._answer(id, self._ends[id])

    def forget(self, id: AttemptId) -> None:
        self._open.pop(id, None)

    def _answer(self, id: AttemptId, outcome: Outcome) -> None:
        post = self._open.pop(id, None)
        if post is not None:
            post(id, outcome)

    def cancel(self, id: AttemptId) -> None:
        self._answer(id, Cancelled())

    def close(self) -> None:
        self._open.clear()


def _http_outcome(world: World, attempt: Attempt) -> Outcome:
    fate, task = world.fate_of(attempt.id.job_id), world.task_of(attempt.id)
    arguments = attempt.arguments
    what = (arguments["url"], arguments.get("body")) if "url" in arguments else (attempt.operation, arguments["value"])
    drawn = fate.of(task, *what)
    is_failure, value = drawn.random() < fate.failures, drawn.randint(0, 5)
    again = fate.of(task, *what, attempt.id.attempt)
    is_hiccup, wait_ms = again.random() < fate.hiccups, again.choice([None, 0, 20_000])
    if is_hiccup and not attempt.is_once and attempt.id.attempt < ATTEMPTS_MAX:
        error = error_value("network", "no connection", retryable=True)
        return Failed(error, should_retry=True, retry_after_ms=wait_ms, attempts_max=ATTEMPTS_MAX)
    return Failed(error_value("network", "it failed")) if is_failure else Done(value)


class Run:
    """A command that runs, has ended (`outcome`), or is lost. `hears` are those who wait for it."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.is_lost = False
        self.hears: list[Callable[[], None]] = []


class Commands:
    """Commands: one run for each attempt, whoever starts it, as the claims of the real connector see to it.

    What is read as a stream has batches of items, by the job's fate, which go through the stages of the attempt.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._world = owner.world
        self._streams: dict[AttemptId, ReadStream] = {}
        self._asked: dict[AttemptId, tuple[Attempt, Post]] = {}
        self._unwanted: set[AttemptId] = set()

    def start(self, attempt: Attempt, post: Post) -> None:
        self._asked[attempt.id] = (attempt, post)
        if attempt.make_chain is not None:
            self._streams[attempt.id] = ReadStream(self._world, attempt)
        run = self._world.runs.get(attempt.id)
        if run is None:
            run = self._world.runs[attempt.id] = Run()
            self._world.ledger.happen(attempt)
            self._world.time.after(self._world.latency_s(), lambda: _end(run, _command_outcome(self._world, attempt)))
        run.hears.append(lambda: self._hear(attempt.id))
        if run.outcome is not None or run.is_lost:
            self._hear(attempt.id)

    def _hear(self, id: AttemptId) -> None:
        run, stream = self._world.runs[id], self._streams.get(id)
        if isinstance(run.outcome, Done) and stream is not None and not stream.is_over:
            if id not in self._unwanted:
                return  # what it wrote is still to be read
            run.outcome = Cancelled()
        attempt, post = self._asked.pop(id, (None, None))
        if attempt is None or post is None:
            return
        if run.outcome is not None:
            post(id, run.outcome if stream is None else stream.outcome(run.outcome))
        elif id in self._unwanted:
            post(id, Cancelled())
        else:
            is_fresh = stream is None or stream.position is None
            post(id, Failed(error_value("lost", "its wrapper is gone"), should_retry=is_fresh and not attempt.is_once))

    def read(self, id: AttemptId, position: Any) -> None:
        self._world.time.after(self._world.latency_s(), lambda: self._read(id))

    def _read(self, id: AttemptId) -> None:
        _attempt, post = self._asked.get(id, (None, None))
        if post is None or self._owner.is_dead:
            return
        items = self._streams[id].next()
        if items is not None:
            post(id, items)
        elif self._world.runs[id].outcome is not None:
            self._hear(id)

    def forget(self, id: AttemptId) -> None:
        self._asked.pop(id, None)

    def cancel(self, id: AttemptId) -> None:
        run = self._world.runs.get(id)
        if id in self._asked and run is not None:
            self._unwanted.add(id)
            self._world.time.after(KILL_S, lambda: self._kill(id, run))

    def _kill(self, id: AttemptId, run: Run) -> None:
        _end(run, Cancelled())
        self._hear(id)  # of a stream that had ended, what was not read is not wanted any more

    def close(self) -> None:
        self._asked.clear()


class ReadStream:
    """What one owner reads of a run, or an answer, that is read as a stream. A fold is read at once."""

    def __init__(self, world: World, attempt: Attempt) -> None:
        assert attempt.make_chain is not None
        self._batches = stream_batches(world, attempt.id, attempt.arguments)
        self._chain = attempt.make_chain()
        self.position: Any = attempt.position
        self._value: Any = None
        if attempt.arguments["output"] == "fold":
            made = [item for batch in self._batches for item in self._chain.feed(batch)] + self._chain.finish()
            self._value = self._chain.value() if self._chain.is_fold else made
            self.is_over = True
            return
        self.is_over = False
        if self.position is not None:
            self._chain.restore(self.position["stages"])
            self.is_over = self.position["over"]

    def next(self) -> Items | None:
        """The next items; None if there are no more."""
        at = 0 if self.position is None else self.position["at"]
        while not self.is_over:
            self.is_over = at == len(self._batches)
            made = self._chain.finish() if self.is_over else self._chain.feed(self._batches[at])
            at = min(at + 1, len(self._batches))
            self.is_over = self.is_over or self._chain.is_done
            if made:
                self.position = {"at": at, "stages": self._chain.state(), "over": self.is_over}
                return Items(made, self.position)
        return None

    def outcome(self, outcome: Outcome) -> Outcome:
        is_value = isinstance(outcome, Done) and self._value is not None
        return Done({**outcome.value, "value": self._value}) if is_value else outcome  # type: ignore[union-attr]


def stream_batches(world: World, id: AttemptId, arguments: dict[str, Any]) -> list[list[Any]]:
    """What a command or an answer that is read as a stream consists of, by the fate of its job."""
    drawn = world.fate_of(id.job_id).of(world.task_of(id), *source_of(arguments), "items")
    return [[drawn.randint(0, 5) for _ in range(drawn.choice([1, 1, 2, 4]))] for _ in range(drawn.randint(0, 3))]


def source_of(arguments: dict[str, Any]) -> list[str]:
    """The command, or the address, that is read as a stream."""
    return [arguments["url"]] if "url" in arguments else arguments["stages"][0]["argv"]  # type: ignore[no-any-return]


def _end(run: Run, outcome: Outcome) -> None:
    if run.outcome is None and not run.is_lost:
        run.outcome = outcome
        for hear in run.hears:
            hear()


def lose(run: Run) -> None:
    """The wrapper is killed, or the machine rebooted: nobody will know how this ended."""
    if run.outcome is None and not run.is_lost:
        run.is_lost = True
        for hear in run.hears:
            hear()


def _command_outcome(world: World, attempt: Attempt) -> Outcome:
    fate, task = world.fate_of(attempt.id.job_id), world.task_of(attempt.id)
    arguments: dict[str, Any] = attempt.arguments
    argv = arguments["stages"][0]["argv"]
    drawn = fate.of(task, *argv)
    statuses = [0, 1] if argv[0] == "check" else [0] * 9 + [4] * int(10 * fate.failures)
    status = 139 if drawn.random() < 0.02 else drawn.choice(statuses)
    output = f"{drawn.randint(0, 9)}\n" if arguments["output"] == "capture" else None
    return Done({"statuses": [status], "output": output, "stderr": ""})
