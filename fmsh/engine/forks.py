"""Following recorded answers with a program, old or new: what a fork begins with, and what a test runs on.

The program runs from its start. Each request takes the answer of the next unused recorded request with the same task,
connector, operation and arguments, each observation that of the next with the same operation and arguments; answers
come in the order in which they were recorded. At the first miss nothing more is answered. What came out until then is
a history of its own, which the new job begins with: its machine asks for the rest as soon as somebody runs it.

A stream is taken over from its first item to its outcome, or not at all: what is left of it in the outputs of the other
job is not the new job's. What the stages after a command made of its output is recorded, and not the output: so such
an answer is for the same stages only.

Not all that is recorded can be taken over. A `cancel` was meant for the other job. The address of a callback, a child,
a subscription and a call belong to it: they are taken over only with all that came of them, else they are a miss. So
is a lock, or a place under a limit, in whose block the program still is where the answers end. And
the new job does not own an inherited `undo`: those of a task go when it gets an inherited answer (`disown`); one that
was registered after the last of these belongs to what the new job does itself.
"""

from __future__ import annotations

from collections import deque

from fmsh.engine import recording
from fmsh.errors import FmshError
from fmsh.machine import streams
from fmsh.machine.claims import held
from fmsh.machine.effects import CancelRequest, Display, End, Observe, Request
from fmsh.machine.events import Displayed, InboxTaken, ItemsRead, Observed, RequestCompleted, RequestMade
from fmsh.machine.machine import Machine
from fmsh.record import Record
from fmsh.values import Handle, are_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.machine.code import Program
    from fmsh.machine.effects import Effect
    from fmsh.machine.events import Event
    from fmsh.machine.facts import Facts
    from fmsh.store.base import EventStore, Job
    from fmsh.values import Secret, Value

INSTRUCTIONS_MAX = 100_000_000  # without an input: some ten seconds
OF_ITS_JOB = ("callback", "job", "topic", "call")  # kinds of handles that name what belongs to the job that asked
NOT_TAKEN = ("cancel", "pause", "resume", "retry")  # rows of the inbox that were meant for the other job


class EndlessRun(FmshError):
    """The program computes without end between two answers."""


class Answer:
    """A recorded ask with its answer. `order` is the place of the answer in the history; None: there is none.

    What came through the inbox has no ask. `stages`: what the stages say that the answer has gone through;
    `items` are the batches of a stream, each with its place. `is_whole`: it can be taken over.
    """

    __slots__ = ("event", "is_whole", "items", "order", "request", "stages")

    def __init__(
        self, request: Request | Observe | None, order: int | None, event: Event | None, stages: Value = None
    ) -> None:
        self.request = request
        self.order = order
        self.event = event
        self.stages = stages
        self.items: list[tuple[int, ItemsRead]] = []
        self.is_whole = True


def recorded_answers(store: EventStore, job: Job, at: int, *, machine: Machine, order: int = 0) -> list[Answer]:
    """Gives what a job asked and was answered up to event `at`. `machine` is one at its start, which is run along.

    `order`: of the first answer, after those of other jobs. Raises: StoreCorrupt, StoreMissing, EndlessRun.
    """
    answers: list[Answer] = []
    requests: dict[int, Answer] = {}
    observes: dict[int, Observe] = {}
    for stored in store.events(job.id, limit=at):
        event = recording.read(store, stored)
        order += 1
        if not isinstance(event, RequestMade | RequestCompleted | ItemsRead | Observed | InboxTaken):
            continue
        for effect in _run(machine):
            if isinstance(effect, Observe):
                observes[effect.number] = effect
        if isinstance(event, RequestMade):
            asked = Request(*[getattr(event, field) for field in Request.fields])
            requests[event.step] = Answer(asked, None, None, _stages_of(machine, event.step))
            answers.append(requests[event.step])
            continue
        machine.feed(event)
        if isinstance(event, ItemsRead):
            requests[event.step].items.append((order, event))
        elif isinstance(event, RequestCompleted):
            requests[event.step].order, requests[event.step].event = order, event
        elif isinstance(event, Observed):
            answers.append(Answer(observes[event.number], order, event))
        elif event.kind not in NOT_TAKEN:
            answers.append(Answer(None, order, event))
    _leave_out_what_belongs_to_the_job(answers)
    return answers


def _stages_of(machine: Machine, step: int) -> Value:
    """What the stages say that the answer of a request goes through; None if it goes through none."""
    make = streams.chain_maker(machine, step)
    return None if make is None else make().says


def _leave_out_what_belongs_to_the_job(answers: list[Answer]) -> None:
    delivered = {
        (answer.event.kind, answer.event.data["handle"])
        for answer in answers
        if isinstance(answer.event, InboxTaken) and answer.event.kind in OF_ITS_JOB
    }
    for answer in answers:
        handle = answer.event.value if isinstance(answer.event, RequestCompleted) else None
        if isinstance(handle, Handle) and handle.kind in OF_ITS_JOB:
            answer.is_whole = (handle.kind, handle.id) in delivered and not handle.fields_.get("many")
        answer.is_whole &= answer.order is not None or not answer.items


def _run(machine: Machine) -> list[Effect]:
    if not machine.run(INSTRUCTIONS_MAX):
        raise EndlessRun("the program computes without end, so its recorded answers cannot be followed")
    return machine.take_effects()


class Followed(Record):
    """How far the answers went. `events` are (event, step) after the start; `reused` and `new` are requests.

    `new` are those without an answer, in order. `missed`: the first of them that was never asked before, or the
    observation; None where the answers merely end. `end`: the program came to its end.
    """

    machine: Machine
    events: list[tuple[Event, int | None]]
    reused: list[Request]
    new: list[Request]
    missed: Request | Observe | None
    end: End | None
    unused: list[Request]  # recorded with an answer, and not asked for


def follow(
    program: Program,
    facts: Facts,
    environment: Mapping[str, str | Secret],
    answers: list[Answer],
    *,
    observe: Callable[[Observe], Value] | None = None,
) -> Followed:
    """Runs a program from its start on recorded answers, until one is missing.

    `observe` answers what is observed and not recorded; it may raise KeyError: then that is a miss. Raises: EndlessRun.
    """
    while True:
        following = _Following(Machine(program, facts, environment), answers, observe)
        followed = following.run()
        borrowed = following.borrowed()
        if not borrowed:
            return followed
        for answer in borrowed:  # once more without them: the new job has to ask for them itself
            answer.is_whole = False


class _Following:
    """A run on recorded answers. What comes out is recorded as soon as an input after it is."""

    def __init__(self, machine: Machine, answers: list[Answer], observe: Callable[[Observe], Value] | None) -> None:
        self._machine = machine
        self._observe = observe
        self._inbox = deque(answer for answer in answers if answer.request is None)
        self._by_ask: dict[tuple[Any, ...], list[Answer]] = {}
        for answer in answers:
            if answer.request is not None and answer.is_whole:
                self._by_ask.setdefault(_ask_of(answer.request), []).append(answer)
        self._open: dict[int, tuple[Request, Answer | None]] = {}
        self._items_taken: dict[int, int] = {}  # step → how many batches of its stream
        self._observing: dict[int, tuple[int, Value]] = {}  # number → order, answer
        self._cancelled: set[int] = set()
        self._events: list[tuple[Event, int | None]] = []
        self._turn: list[tuple[Event, int | None]] = []
        self._reused: list[Request] = []
        self._claims: dict[int, Answer] = {}  # of locks and limits, by the step that reuses it
        self._missed: Request | Observe | None = None
        self._end: End | None = None

    def run(self) -> Followed:
        while True:
            for effect in _run(self._machine):
                self._take(effect)
            found = None if self._missed is not None or self._end is not None else self._next()
            if found is None:
                new = [request for request, _ in self._open.values()]
                unused = self._unused()
                return Followed(self._machine, self._events, self._reused, new, self._missed, self._end, unused)
            event, step = found
            self._events += [*self._turn, (event, step)]
            self._turn = []
            self._machine.feed(event)

    def borrowed(self) -> list[Answer]:
        """What the other job had when the run came to its end, and the new one has not: half a stream, or a claim."""
        begun = [answer for step, (_, answer) in self._open.items() if answer is not None and step in self._items_taken]
        is_over = self._end is not None
        return begun + [self._claims[step] for step in held(self._machine) if step in self._claims and not is_over]

    def _unused(self) -> list[Request]:
        answers = [answer for waiting in self._by_ask.values() for answer in waiting if answer.order is not None]
        answers.sort(key=lambda answer: answer.order or 0)
        return [answer.request for answer in answers if isinstance(answer.request, Request)]

    def _take(self, effect: Effect) -> None:
        if isinstance(effect, Request):
            answer = self._find(effect, _stages_of(self._machine, effect.step))
            self._open[effect.step] = effect, answer
            if answer is not None and effect.operation == "claim":
                self._claims[effect.step] = answer
            made = RequestMade(**{field: getattr(effect, field) for field in effect.fields})
            self._turn.append((made, effect.step))
            if answer is None:
                self._missed = self._missed or effect
        elif isinstance(effect, Observe):
            self._answer(effect)
        elif isinstance(effect, Display):
            self._turn.append((Displayed(effect.text, effect.stream), None))
        elif isinstance(effect, CancelRequest):
            self._cancelled.add(effect.step)
        else:
            self._end = effect

    def _find(self, ask: Request | Observe, stages: Value = None) -> Answer | None:
        waiting = self._by_ask.get(_ask_of(ask), [])
        for place, answer in enumerate(waiting):
            if are_equal(answer.stages, stages) and are_equal(_arguments(answer.request), ask.arguments):
                return waiting.pop(place)
        return None

    def _answer(self, effect: Observe) -> None:
        answer = self._find(effect)
        if answer is not None and isinstance(answer.event, Observed) and answer.order is not None:
            self._observing[effect.number] = answer.order, answer.event.value
            return
        try:
            if self._observe is None:
                raise KeyError(effect.operation)
            self._observing[effect.number] = 0, self._observe(effect)
        except KeyError:
            self._missed = self._missed or effect

    def _next(self) -> tuple[Event, int | None] | None:
        """Takes the earliest answer that can be given now."""
        best: tuple[int, Event, int | None] | None = None
        for number, (order, value) in self._observing.items():
            if best is None or order < best[0]:
                best = order, Observed(number, value), None
        hungry = set(streams.hungry(self._machine))
        for step, (_, answer) in self._open.items():
            next_of = None if answer is None else self._next_of(step, answer, is_hungry=step in hungry)
            if next_of is not None and (best is None or next_of[0] < best[0]):
                best = *next_of, step
        came = self._inbox[0] if self._inbox else None
        if came is not None and came.event is not None and (best is None or (came.order or 0) < best[0]):
            self._inbox.popleft()
            return came.event.replace(instruction=None), None
        if best is None:
            return None
        _, event, taken = best
        if isinstance(event, ItemsRead):
            self._items_taken[event.step] = self._items_taken.get(event.step, 0) + 1
        elif taken is not None:
            self._items_taken.pop(taken, None)
            self._reused.append(self._open.pop(taken)[0])
        elif isinstance(event, Observed):
            del self._observing[event.number]
        return event, taken

    def _next_of(
        self, step: int, answer: Answer, *, is_hungry: bool
    ) -> tuple[int, ItemsRead | RequestCompleted] | None:
        """What comes next of an answer, with its place in the history, if it can be given now."""
        taken, is_unwanted = self._items_taken.get(step, 0), step in self._cancelled
        if taken < len(answer.items) and not is_unwanted:
            order, items = answer.items[taken]
            return (order, items.replace(step=step, instruction=None)) if is_hungry else None
        if answer.order is None or not isinstance(answer.event, RequestCompleted):
            return None
        if answer.event.is_cancelled and not is_unwanted:
            return None
        return answer.order, answer.event.replace(step=step, instruction=None)


def _ask_of(ask: Request | Observe) -> tuple[Any, ...]:
    if isinstance(ask, Request):
        return ask.task, ask.connector, ask.operation
    return (ask.operation,)


def _arguments(ask: Request | Observe | None) -> Value:
    return None if ask is None else ask.arguments


def disown(machine: Machine, event: Event) -> None:
    """Drops the `undo` entries of the tasks that wait for no effect of their own but the one that `event` answers."""
    step = event.step if isinstance(event, RequestCompleted) else None
    for task in machine.tasks.values():
        waiting = task.waiting
        if waiting is not None and waiting[0] == "request" and waiting[1] != step:
            continue
        for frame in task.frames:
            frame.cleanup = [entry for entry in frame.cleanup if entry[1] != "undo"]
    for group in machine.groups.values():
        group.undos = []
