"""Random programs in random worlds: the machine against the model, against its own snapshots, and against its history.

    python -m tests.machine.fuzz SEED              one seed, with the program and what happened
    python -m tests.machine.fuzz FIRST COUNT       many; prints the seeds that fail

For each seed the machine runs beside the model and after each event both must have asked for, cancelled and shown the
same. What was fed is recorded; then the recording is fed to a machine that is saved and restored after every event, to
a fresh machine, and to one restored from the middle: each must do exactly the same again, effect for effect.

In one world of eight the machine is run in small slices, and what happens comes in the middle of a run; in half of
these its tasks take turns of a few instructions.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from functools import lru_cache
from typing import Any

from fmsh.assembly import make_program
from fmsh.machine import machine as machines
from fmsh.machine import streams
from fmsh.machine.code import Program
from fmsh.machine.effects import Effect, End, Observe
from fmsh.machine.events import Event, InboxTaken, Observed
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source
from tests.machine import programs
from tests.machine.model import Model
from tests.machine.world import EVENTS_MAX, NOW, Broken, World, delivered

WORLDS = 4  # seeds that share one program, so that compiling it is paid once
FACTS = Facts(1, None, None, [], "/", "UTC")
SLICE = 10**6
SHORT_TURN = 7  # instructions

Round = tuple[Event | None, list[Effect]]  # an event that was fed, and what came out of it


@lru_cache(maxsize=8)
def _program(number: int) -> tuple[programs.Body, Program]:
    body = programs.make(number)
    return body, make_program(Source("fuzz.fmsh", programs.text(body)))[1]


class Straight:
    """The first run of a seed: the machine and the model side by side."""

    def __init__(self, seed: int, *, is_shown: bool = False) -> None:
        self.world = World(seed)
        self.body, self.program = _program(seed // WORLDS)
        self.machine = Machine(self.program, FACTS, {})
        self.model: Model | None = Model(self.body)
        self.is_sliced = seed % 8 == 7
        if takes_turns(seed):
            self.model = None  # whose tasks take none
        self.is_shown = is_shown
        self.rounds: list[Round] = []
        self.middle: tuple[int, str] | None = None
        self.observes: list[Observe] = []

    def run(self) -> None:
        """Runs to the end. Raises: Broken."""
        self._turn(None)
        while self.world.end is None:
            if len(self.rounds) > EVENTS_MAX:
                raise Broken("it does not end")
            if self.middle is None and self.world.random.random() < 0.1:
                self.middle = (len(self.rounds), self.machine.snapshot())
            hungry = [self.world.keys[step] for step in streams.hungry(self.machine)]
            if self.model is not None and sorted(hungry) != sorted(self.model.hungry()):
                raise Broken(f"the machine waits for items of {hungry}, the model of {self.model.hungry()}")
            self._happen(*self.world.next(hungry))
        self._compare_ends()

    def _happen(self, kind: str, what: Any) -> None:
        if self.model is not None:
            if kind == "outcome":
                self.model.answer(*what)
            elif kind == "delivery":
                self.model.deliver(what[0][0], what[1])
            elif kind == "items":
                self.model.give(*what)
            else:
                self.model.cancel_job()
        self._turn(self._event(kind, what))

    def _event(self, kind: str, what: Any) -> Event:
        if self.is_shown:
            print("   ", kind, what)
        if kind == "outcome":
            return self.world.completed(*what)
        if kind == "items":
            return self.world.read(*what)
        return delivered(*what) if kind == "delivery" else InboxTaken("cancel", {})

    def _turn(self, event: Event | None) -> None:
        """Feeds one event, answers what is observed, and compares what both sides did."""
        done = self._fed(event)
        while self.observes:
            observe = self.observes.pop(0)
            done += self._fed(Observed(observe.number, NOW))
        if self.model is None:
            return
        self.model.run()
        expected = self.model.take_effects()
        if Counter(done) != Counter(expected):
            only = Counter(done) - Counter(expected), Counter(expected) - Counter(done)
            raise Broken(f"only the machine: {list(only[0])}; only the model: {list(only[1])}")

    def _fed(self, event: Event | None) -> list[Any]:
        if event is not None:
            self.machine.feed(event)
        done: list[Any] = []
        while True:
            is_quiescent = self.machine.run(self.world.random.randint(1, 60) if self.is_sliced else SLICE)
            effects = self.machine.take_effects()
            self.rounds.append((event, effects))
            self.observes += [effect for effect in effects if isinstance(effect, Observe)]
            for effect in effects:
                plain = self.world.plain(self.machine, effect)
                if plain is not None:
                    done.append(plain)
                if self.is_shown:
                    print("  ", plain or effect)
            if is_quiescent:
                return done
            event = self._intrude()

    def _intrude(self) -> Event | None:
        """Between two slices: perhaps something happens, which the model cannot follow."""
        draw = self.world.random
        event: Any = None
        if self.observes and draw.random() < 0.3:
            event = Observed(self.observes.pop(0).number, NOW)
        elif self.world.steps and draw.random() < 0.07:
            event = self._event(*self.world.next([]))
        if event is not None:
            event = event.replace(instruction=self.machine.instructions)
            self.model = None
            self.machine.feed(event)
        return event  # type: ignore[no-any-return]

    def _compare_ends(self) -> None:
        end = self.world.end
        assert end is not None
        if self.model is not None and _end(end) != self.model.end:  # the machine does not tell a cancel from its error
            raise Broken(f"the machine ends with {_end(end)}, the model with {self.model.end}")


def _end(end: End) -> tuple[Any, ...]:
    undo_errors = tuple(error.kind for error in end.undo_errors)
    if end.status is not None:
        return ("exit", end.status, undo_errors)
    if end.error is not None:
        return ("error", end.error.kind, undo_errors)
    return ("value", end.value, undo_errors)


def _again(machine: Machine, rounds: list[Round], *, is_restored: bool) -> None:
    """Feeds a recording to a machine, and sees that it does the same. Raises: Broken."""
    expected: list[Effect] = []
    done: list[Effect] = []
    for event, effects in rounds:
        if event is not None:
            at = getattr(event, "instruction", None)
            if at is not None:
                machine.run_to(at)
            elif not machine.run(SLICE):
                raise Broken("it is not quiescent")
            done += machine.take_effects()
            if done != expected:
                raise Broken(f"again it does {_difference(done, expected)}")
            expected, done = [], []
            if is_restored and not machine.ready and not machine.observing:
                machine = _restored(machine)
            machine.feed(event)
        expected += effects
    machine.run(SLICE)
    done += machine.take_effects()
    if done != expected:
        raise Broken(f"again it does {_difference(done, expected)} at the end")


def _difference(done: list[Effect], expected: list[Effect]) -> str:
    for made, wanted in zip(done, expected, strict=False):
        if made != wanted:
            return f"{made} instead of {wanted}"
    return f"{len(done)} effects instead of {len(expected)}: {done[len(expected) :]} {expected[len(done) :]}"


def _restored(machine: Machine) -> Machine:
    text = machine.snapshot()
    made = Machine.restore(machine.program, {}, text)
    if len(text) % 7 == 0 and made.snapshot() != text:
        raise Broken("a restored machine does not save as the same text")
    return made


def check(seed: int, *, is_shown: bool = False) -> int:
    """Runs one seed in every way; gives the number of events. Raises: Broken, or what a fault of the machine raises."""
    before = machines.TURN_INSTRUCTIONS
    machines.TURN_INSTRUCTIONS = SHORT_TURN if takes_turns(seed) else before
    try:
        return _check(seed, is_shown=is_shown)
    finally:
        machines.TURN_INSTRUCTIONS = before


def takes_turns(seed: int) -> bool:
    return seed % 16 == 7


def _check(seed: int, *, is_shown: bool) -> int:
    straight = Straight(seed, is_shown=is_shown)
    straight.run()
    rounds = straight.rounds
    for is_restored in (True, False):
        try:
            _again(Machine(straight.program, FACTS, {}), rounds, is_restored=is_restored)
        except Exception as problem:
            problem.add_note("saved and restored after every event" if is_restored else "replayed")
            raise
    if straight.middle is not None:
        at, text = straight.middle
        _again(Machine.restore(straight.program, {}, text), rounds[at:], is_restored=False)
    return len(rounds)


def failures(first: int, count: int, *, limit: int = 10**9) -> dict[int, str]:
    """Checks many seeds; gives what went wrong, by seed."""
    found: dict[int, str] = {}
    for seed in range(first, first + count):
        try:
            check(seed)
        except Exception as problem:
            found[seed] = f"{type(problem).__name__}: {problem} {' '.join(getattr(problem, '__notes__', []))}"
            if len(found) >= limit:
                break
    return found


def main(arguments: list[str]) -> int:
    seed = int(arguments[0])
    if len(arguments) > 1:
        found = failures(seed, int(arguments[1]))
        for failed, message in found.items():
            print(failed, message[:300])
        print(f"{len(found)} of {arguments[1]} seeds fail")
        return 1 if found else 0
    print(programs.text(programs.make(seed // WORLDS)))
    try:
        events = check(seed, is_shown=True)
    except Exception:
        traceback.print_exc()
        return 1
    print(f"seed {seed}: {events} rounds, all the same")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
