"""Judges a run afterwards, by the histories that it left.

Each history is fed to a fresh machine and to the model of the language, in the order in which it was recorded: what
they ask for, show and come to must be what is recorded. The engine's own replay must come to the same, from the start
of the history and from every snapshot. A program that does not depend on time must end as it does undisturbed.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fmsh.connectors.base import AttemptId
from fmsh.engine import recording, replay
from fmsh.engine import snapshots as kept
from fmsh.engine.starting import facts_of
from fmsh.engine.summary import ended_state, exit_status
from fmsh.machine import events as wire_events
from fmsh.machine.effects import Display, Effect, End, Observe, Request
from fmsh.machine.events import (
    Displayed,
    Event,
    InboxTaken,
    ItemsRead,
    JobEnded,
    JobStarted,
    Observed,
    Parked,
    Paused,
    RequestCompleted,
    RequestMade,
    Resumed,
)
from fmsh.machine.machine import Machine
from fmsh.store.base import Job, StoredEvent
from fmsh.values import Handle, are_equal
from tests.machine.fuzz import _end as plain_end
from tests.machine.model import Model
from tests.machine.world import Broken
from tests.machine.world import World as Account
from tests.simulation.effects import source_of, stream_batches
from tests.simulation.owners import Runner

if TYPE_CHECKING:
    from tests.simulation.world import Planned, World

SLICE = 10**6
LONG_TURN = 5000  # instructions; no program of the model's runs on for so many while another task could
NO_FAULT = ("lost", "job", "callback", "cancelled")  # errors of a request that come from trouble, not from its fate


def judge(world: World) -> None:
    """Looks at every job of a run, and tells the world what is wrong."""
    reader = Runner(world)  # never driven
    for job_id, planned in world.jobs.items():
        job = reader.store.job(job_id)
        assert job is not None
        try:
            _judge_job(world, reader, job, planned)
        except Broken as broken:
            world.violate(f"job {job_id}: {broken}")


def _judge_job(world: World, reader: Runner, job: Job, planned: Planned) -> None:
    story = world.journal.stories[job.id]
    stored = list(reader.store.events(job.id))  # which verifies the chain
    if [(event.type, event.step, event.data_json, event.epoch) for event in stored] != story.events:
        raise Broken("its history is not what was committed")
    events = [recording.read(reader.store, event) for event in stored]
    _judge_order(stored, events)
    _judge_steps(world, job.id, stored, events)
    _judge_items(world, job.id, events)
    _judge_inbox(world, reader, job.id, events)
    is_whole = not _was_put_aside(events)
    referee = Referee(job, planned, events)
    if world.profile.turn < LONG_TURN:
        referee.model = None  # whose tasks take no turns
    referee.run(is_whole=is_whole)
    _judge_end(job, planned, events, referee if is_whole else None)
    _judge_replays(reader, job, planned, stored, events)
    is_comparable = planned.chosen.is_untimed and planned.parent_id is None and not world.is_calm
    if is_comparable and not any(_was_disturbed(_events_of(world, other)) for other in world.jobs):
        straight = undisturbed(world.seed, planned.fate.number)
        _require(straight == _summed_up(events), f"it comes to {_summed_up(events)}, and undisturbed to {straight}")


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


# ---- The form of a history


def _judge_order(stored: list[StoredEvent], events: list[Event]) -> None:
    types = [event.type for event in stored]
    _require([event.seq for event in stored] == list(range(1, len(stored) + 1)), "events are missing")
    epochs = [event.epoch for event in stored]
    _require(epochs == sorted(epochs), f"its epochs are not in order: {epochs}")
    _require(types[0] == "JobStarted" and types.count("JobStarted") == 1, f"its start: {types}")
    _require(types[-1] == "JobEnded" and types.count("JobEnded") == 1, f"its end: {types[-3:]}")


def _judge_steps(world: World, job_id: int, stored: list[StoredEvent], events: list[Event]) -> None:
    made = [event.step for event in events if isinstance(event, RequestMade)]
    completed = [event.step for event in events if isinstance(event, RequestCompleted)]
    _require(made == list(range(1, len(made) + 1)), f"its requests: {made}")
    _require(len(completed) == len(set(completed)), f"a step has two outcomes: {completed}")
    if not _was_put_aside(events):
        _require(set(completed) == set(made), f"steps without an outcome: {set(made) ^ set(completed)}")
    retries = sum(knock.kind == "retry" for knock in world.knocks.accepted.values() if knock.job_id == job_id)
    once = {event.step for event in events if isinstance(event, RequestMade) and event.is_once}
    again = sum(event.type == "AttemptFailed" and event.step in once for event in stored)
    _require(again <= retries, f"what stands in `once` was tried again {again} times, and asked for {retries} times")
    for id, times in world.ledger.done.items():
        if id.job_id == job_id:
            _require(times <= len(world.ledger.started[id]), f"{id} happened {times} times")


def _judge_items(world: World, job_id: int, events: list[Event]) -> None:
    """What was read of a stream is what its source gave, each item once; and all of it where it came to its end."""
    was_answered = any(knock.kind == "answer" and knock.job_id == job_id for knock in world.knocks.accepted.values())
    for event in events:
        if not isinstance(event, RequestMade) or event.arguments.get("output") != "stream":
            continue
        if not source_of(event.arguments)[0].endswith("feed"):
            continue  # there are stages between what it writes and what is read
        batches = stream_batches(world, AttemptId(job_id, event.step, 1), event.arguments)
        written = [item for batch in batches for item in batch]
        read = [item for other in events if isinstance(other, ItemsRead) and other.step == event.step
                for item in other.items]  # fmt: skip
        is_at_end = any(isinstance(other, RequestCompleted) and other.step == event.step and other.value is not None
                        for other in events) and not was_answered  # fmt: skip
        expected = written if is_at_end else written[: len(read)]
        _require(read == expected, f"step {event.step} has written {written}, and {read} is read")


def _judge_inbox(world: World, reader: Runner, job_id: int, events: list[Event]) -> None:
    """What was accepted for the inbox was taken once, or came too late; and nothing else was taken."""
    taken = Counter(
        event.data.get("n") or event.data.get("delivery", {}).get("n")
        for event in events
        if isinstance(event, InboxTaken) and event.kind not in ("job", "lock", "limit")
    )
    twice = [number for number, times in taken.items() if times > 1]
    _require(not twice, f"taken twice from the inbox: {twice}")
    accepted = {number: knock for number, knock in world.knocks.accepted.items() if knock.job_id == job_id}
    unknown = taken.keys() - accepted.keys()
    _require(not unknown, f"taken and never accepted: {unknown}")
    children = Counter(
        event.data["handle"] for event in events if isinstance(event, InboxTaken) and event.kind == "job"
    )
    _require(all(times == 1 for times in children.values()), f"the end of a job was taken twice: {children}")
    waiting = "".join(row.data_json for row in reader.store.inbox(job_id))
    for number, knock in accepted.items():
        is_recorded = knock.kind in ("callback", "cancel", "signal")
        if is_recorded and number not in taken and f'"n":{number}' not in waiting.replace(" ", ""):
            _require(knock.kind == "cancel" and _was_put_aside(events), f"{knock.kind} {number} is lost")


def _was_put_aside(events: list[Event]) -> bool:
    """Whether a cancel ended the job while it was parked for good: then its machine did not come to that end."""
    last = [event for event in events if isinstance(event, Parked | Resumed | JobEnded)][-3:]
    return len(last) == 3 and isinstance(last[0], Parked) and last[0].step is None and isinstance(last[1], Resumed)


# ---- The history against the machine and the model


class Referee:
    """Feeds a history to a fresh machine and to the model, as it was fed then. Raises: Broken."""

    def __init__(self, job: Job, planned: Planned, events: list[Event]) -> None:
        started = events[0]
        assert isinstance(started, JobStarted)
        self.events = events
        self.machine = Machine(planned.chosen.program, facts_of(job.id, job.key, job.name, started), {})
        body = planned.chosen.body
        self.model = None if body is None or planned.parent_id is not None else Model(body)
        self.account = Account(0)
        self.made: list[Request] = []
        self.shown = {"out": "", "err": ""}
        self.done: list[Any] = []
        self.observing = 0
        self.end: End | None = None

    def run(self, *, is_whole: bool) -> None:
        is_held, held = False, list[Event]()
        for event in self.events:
            if isinstance(event, Paused | Parked):
                held = held if is_held else self._feed_first(held, event.unfed)
                is_held = True
            elif isinstance(event, Resumed) and event.instruction is None:
                is_held = False
            elif isinstance(event, Resumed):
                for input in self._feed_first(held, event.unfed):
                    self._feed(input, at=event.instruction)
                held = []
            elif isinstance(event, Observed | RequestCompleted | InboxTaken | ItemsRead):
                if event.instruction is not None:
                    _require(not is_held, f"fed while it was held: {event}")
                    self._feed_first(held, 0)
                    self._feed(event, at=event.instruction)
                    held = []
                elif is_held or held:
                    held.append(event)
                else:
                    self._feed(event)
        if is_whole:
            self._feed_first(held, 0)
        self._run_machine()
        self._judge(is_whole=is_whole)

    def _feed_first(self, held: list[Event], unfed: int) -> list[Event]:
        """Feeds what was held, each to quiescence, but the last ones; gives these."""
        count = len(held) - unfed
        for event in held[:count]:
            self._feed(event)
        return held[count:]

    def _feed(self, event: Event, *, at: int | None = None) -> None:
        if at is not None:
            self.model = None  # which knows no instructions
            self.machine.run_to(at)
            self._collect(self.machine.take_effects())
        else:
            self._run_machine()
        if self.end is not None:
            return
        if isinstance(event, Observed):
            self.observing -= 1
        else:
            self._tell_model(event)
        self.machine.feed(event)

    def _run_machine(self) -> None:
        """Runs until all wait, and compares what came of the last event."""
        self.machine.run(SLICE)
        self._collect(self.machine.take_effects())
        self._compare()

    def _collect(self, effects: list[Effect]) -> None:
        for effect in effects:
            plain = self._plain(effect)
            if plain is not None:
                self.done.append(plain)

    def _plain(self, effect: Effect) -> Any:
        if isinstance(effect, Request):
            self.made.append(effect)
        elif isinstance(effect, Display):
            self.shown[effect.stream] += effect.text
        elif isinstance(effect, Observe):
            self.observing += 1
        elif isinstance(effect, End):
            self.end = effect
        if self.model is None:
            return None
        return self.account.plain(self.machine, effect)

    def _tell_model(self, event: Event) -> None:
        if self.observing:
            self.model = None  # which answers its own questions at once, and here something came between
        if self.model is None:
            return
        if isinstance(event, RequestCompleted):
            key = self.account.keys.pop(event.step)
            del self.account.steps[key]
            self.account.unwanted.discard(key)
            self.model.answer(key, _plain_outcome(event))
        elif isinstance(event, ItemsRead):
            self.model.give(self.account.keys[event.step], event.items)
        elif isinstance(event, InboxTaken) and event.kind == "cancel":
            self.model.cancel_job()
        elif isinstance(event, InboxTaken) and event.kind == "callback":
            data: Any = event.data
            self.model.deliver(data["handle"], data["delivery"]["body"])

    def _compare(self) -> None:
        if self.model is None or self.observing:
            return
        self.model.run()
        expected, done = Counter(self.model.take_effects()), Counter(self.done)
        self.done = []
        _require(
            done == expected, f"only the machine: {list(done - expected)}; only the model: {list(expected - done)}"
        )

    def _judge(self, *, is_whole: bool) -> None:
        recorded = [event for event in self.events if isinstance(event, RequestMade)]
        _require(
            len(recorded) == len(self.made), f"{len(recorded)} requests are recorded, and {len(self.made)} are made"
        )
        for made, event in zip(self.made, recorded, strict=True):
            same = all(are_equal(getattr(made, field), getattr(event, field)) for field in Request.fields)
            _require(same, f"recorded: {event}; again: {made}")
        for stream, text in self.shown.items():
            shown = "".join(
                event.text for event in self.events if isinstance(event, Displayed) and event.stream == stream
            )
            if is_whole or self.end is not None:
                _require(shown == text, f"recorded as shown: {shown!r}; again: {text!r}")
        if is_whole:
            _require(self.end is not None, "it has ended, and its machine has not")
        if self.end is not None and self.model is not None:
            end = plain_end(self.end)
            _require(end == self.model.end, f"the machine ends with {end}, the model with {self.model.end}")


def _plain_outcome(event: RequestCompleted) -> tuple[str, Any]:
    if event.is_cancelled:
        return "cancelled", None
    if event.error is not None:
        return "error", event.error.kind
    value = event.value
    if isinstance(value, Handle):
        return "value", (value.id, bool(value.fields_.get("many")))
    if isinstance(value, dict):
        return "value", (value["statuses"][0], str(value["output"] or "").strip())
    return "value", value


# ---- The end


def _judge_end(job: Job, planned: Planned, events: list[Event], referee: Referee | None) -> None:
    ended = events[-1]
    assert isinstance(ended, JobEnded)
    _require(job.exit_status == ended.exit_status, f"its row says {job.exit_status}, its history {ended.exit_status}")
    if ended.error is None:
        _require(job.value_json == recording.value_json(ended.value), f"its row says {job.value_json}")
    if referee is not None and referee.end is not None:
        end = referee.end
        same = are_equal(end.value, ended.value) and (end.error is None) == (ended.error is None)
        _require(
            same and exit_status(end) == ended.exit_status, f"it is recorded to end with {ended}, and ends with {end}"
        )
        _require(job.state == ended_state(end), f"its row says {job.state}, its machine {ended_state(end)}")
    if planned.ended is not None and job.epoch == 1:  # it never left the shell that it began in
        shown = "".join(event.text for event in events if isinstance(event, Displayed))
        _require(planned.shown == shown, f"seen: {planned.shown!r}; recorded: {shown!r}")


# ---- The engine's replay


def _judge_replays(reader: Runner, job: Job, planned: Planned, stored: list[StoredEvent], events: list[Event]) -> None:
    surroundings, program = reader.engine.surroundings, planned.chosen.program
    whole = _replayed(replay._from_start(reader.store, job, program, surroundings), stored[1:], events[1:])
    seq: int | None = job.head
    while seq is not None and seq > 0:
        found = reader.store.snapshot(job.id, at=seq)
        if found is None:
            return
        saved = kept.decode(found.state_json, epoch=None)
        worker = replay._from_snapshot(reader.store, job, program, saved, surroundings)
        part = _replayed(worker, stored[found.seq :], events[found.seq :])
        _require(part == whole, f"from its snapshot after event {found.seq} it comes to {part}, and else to {whole}")
        seq = found.seq - 1


def _replayed(worker: Any, stored: list[StoredEvent], events: list[Event]) -> tuple[str, str]:
    """What a replay comes to: the machine's state, and its end."""
    replaying = replay.Replay(worker)
    try:
        for event, data in zip(events, stored, strict=True):
            if not isinstance(event, JobEnded):
                replaying.apply(event, data)
        replaying.finish()
        while not (worker.is_held or worker.end) and (worker.held or not worker.is_quiescent):
            if worker.is_quiescent:
                worker._feed(worker.held.pop(0))
            worker.is_quiescent = worker.machine.run(SLICE)
            worker.collect(worker.machine.take_effects())
        snapshot = worker.machine.snapshot().replace('"job_id":0,', f'"job_id":{worker.job_id},', 1)
        return snapshot, str(worker.end)  # a job begins before it has a number, if it cannot see that
    except Exception as fault:
        raise Broken(f"it cannot be replayed: {type(fault).__name__}: {fault}") from fault


# ---- The same without trouble


def _was_disturbed(events: list[Event]) -> bool:
    """Whether trouble or people have changed how a request ended."""
    for event in events:
        if isinstance(event, InboxTaken) and event.kind in ("cancel", "answer"):
            return True
        if isinstance(event, Parked):
            return True
        if isinstance(event, RequestCompleted) and event.error is not None and event.error.kind in NO_FAULT:
            return True
    return False


def _summed_up(events: list[Event]) -> tuple[str, str]:
    ended = events[-1]
    assert isinstance(ended, JobEnded)
    shown = "".join(event.text for event in events if isinstance(event, Displayed))
    return f"{ended.value} {ended.error and ended.error.kind} {ended.exit_status}", shown


def _events_of(world: World, job_id: int) -> list[Event]:
    return [wire_events.decode(type, step, data) for type, step, data, _ in world.journal.stories[job_id].events]


@lru_cache(maxsize=4)
def undisturbed(seed: int, fate: int) -> tuple[str, str]:
    """How a job of a seed ends when nothing goes wrong."""
    from tests.simulation.world import World

    world = World(seed, calm_fate=fate)
    violations = world.run()
    _require(not violations, f"undisturbed: {violations}")
    return _summed_up(_events_of(world, 1))
