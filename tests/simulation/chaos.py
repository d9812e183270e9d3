"""What goes wrong, and what people do: each a function of the world, drawn by the weights of the seed's profile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from fmsh import wire
from fmsh.errors import StoreError
from tests.simulation.effects import lose
from tests.simulation.owners import Cli, Daemon, Runner, Shell

if TYPE_CHECKING:
    from fmsh.values import Value
    from tests.simulation.world import World

    T = TypeVar("T")

STOPPED_S = 40.0
FULL_S = 20.0
CLOCK_STEPS_S = (-86_400, -3600, -2, 2, 3600, 86_400)


class Knock:
    """Something that was put into a job's inbox, with a number of its own in its data."""

    def __init__(self, job_id: int, kind: str, was_active: bool) -> None:
        self.job_id = job_id
        self.kind = kind
        self.was_active = was_active


class Knocks:
    """All that was accepted for inboxes, by number."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.accepted: dict[int, Knock] = {}

    def deliver(self, job_id: int, kind: str, **data: Value) -> None:
        """What `fmsh jobs …` does; now and then twice with one id, of which the second must change nothing."""
        world, number = self._world, self._world.new_number()
        was_active = not world.journal.stories[job_id].has_ended
        data_json = wire.encode({"n": number, **data})
        for is_repeat in (False, True)[: world.random.choice([1, 1, 1, 2])]:
            try:
                is_new = world.cli.store.deliver(job_id, kind, data_json, dedupe_id=f"knock {number}")
            except StoreError as error:
                world.log(f"{kind} for job {job_id} is refused: {error.message}")
                return
            if is_new:
                self.accepted[number] = Knock(job_id, kind, was_active)
            if is_new is is_repeat:
                world.violate(
                    f"a {kind} of job {job_id} was delivered, and is taken for {'a new' if is_new else 'an old'}"
                )
        world.log(f"{kind} number {number} for job {job_id}")

    def call_back(self, address: tuple[int, str, bool], id: str) -> None:
        """A call of an address, as the listener takes it."""
        world, number = self._world, self._world.new_number()
        job_id, handle, _ = address
        value = int(hashlib.sha256(f"{world.seed} {address} {id}".encode()).hexdigest()[:6], 16) % 6
        was_active = not world.journal.stories[job_id].has_ended
        try:
            found = world.cli.store.deliver_callback(
                world.addresses[address][-1],
                wire.encode({"body": value, "n": number}),
                dedupe_id=id,
                method="POST",
                now_ms=world.time.wall_ms(),
            )
        except StoreError as error:
            world.log(f"a call of {handle} of job {job_id} is refused: {error.message}")
            return
        if found is not None and not found.is_repeat:
            self.accepted[number] = Knock(job_id, "callback", was_active)
        answer = "404" if found is None else "repeat" if found.is_repeat else "202"
        world.log(f"call {number} of {handle} of job {job_id}, {id}: {answer}")


# ---- Processes


def _one(world: World) -> Runner | None:
    runners = world.runners
    return world.random.choice(runners) if runners else None


def _crash(world: World) -> None:
    runner = _one(world)
    if runner is not None:
        runner.die()


def _light(world: World) -> None:
    """A process will die in one of its next writes or effects."""
    runner = _one(world)
    if runner is not None:
        runner.fuse = world.random.randint(1, 5)
        runner.dies_before = world.random.random() < 0.5


def _stop(world: World) -> None:
    runner = _one(world)
    if runner is not None and not runner.is_stopped:
        runner.is_stopped = True
        if world.random.random() < 0.5:
            world.ensure_daemon()  # somebody to see it stand still
        seconds = world.random.choice([1.0, STOPPED_S]) * (0.4 + world.random.random())
        world.log(f"{runner.name} is stopped for {seconds:.1f} s")
        world.time.after(seconds, lambda: _continue(world, runner))


def _continue(world: World, runner: Runner) -> None:
    if runner.is_stopped and not runner.is_dead:
        world.log(f"{runner.name} goes on")
    runner.is_stopped = False


def _terminate(world: World) -> None:
    for runner in world.runners:
        if isinstance(runner, Daemon) and not runner.is_stopped:
            world.log(f"{runner.name} is told to end")
            world.guard(runner, runner.stop)
            return


def _new_shell(world: World) -> None:
    """A shell that takes up what it finds."""
    shell = world.start_shell()
    jobs = world.active
    if jobs:
        _adopt_by(world, shell, world.random.choice(jobs))


def _type_another(world: World) -> None:
    """A person at a prompt that has been idle begins another job."""
    idle = [runner for runner in world.runners if isinstance(runner, Shell) and runner.is_at_prompt]
    if idle:
        world.submit_another(world.random.choice(idle))


def _adopt(world: World) -> None:
    runner, jobs = _one(world), world.active
    if runner is not None and jobs and not runner.is_stopped:
        _adopt_by(world, runner, world.random.choice(jobs))


def _adopt_by(world: World, runner: Runner, job_id: int) -> None:
    if not runner.knows(job_id):
        world.guard(runner, lambda: runner.adopt(job_id))


def _leave(world: World, *, detach: bool = False) -> None:
    runner = _one(world)
    if runner is None or runner.is_stopped or not runner.engine.workers:
        return
    job_id = world.random.choice(sorted(runner.engine.workers))
    world.log(f"{runner.name} is to {'detach' if detach else 'leave'} job {job_id}")
    world.guard(runner, lambda: runner.detach(job_id) if detach else runner.leave(job_id))


def _detach(world: World) -> None:
    _leave(world, detach=True)


# ---- The machine under them


def _set_clock(world: World) -> None:
    seconds = world.random.choice(CLOCK_STEPS_S)
    world.log(f"the clock is set by {seconds} s")
    world.time.set_ms += seconds * 1000


def _suspend(world: World) -> None:
    seconds = world.random.choice([5, 60, 36_000])
    world.log(f"the machine sleeps for {seconds} s")
    world.time.suspended_ms += seconds * 1000


def _reboot(world: World) -> None:
    if world.random.random() < 0.8:  # rare
        return
    world.log("the machine boots again")
    for owner in world.owners:
        owner.die()
    for run in world.runs.values():
        lose(run)
    world.boot_id = f"boot {world.new_number()}"
    world.time.reboot()
    world.cli = Cli(world)


def _fill(world: World) -> None:
    if not world.is_full:
        world.log("the disk is full")
        world.is_full = True
        world.time.after(world.random.random() * FULL_S, lambda: _free(world))


def _free(world: World) -> None:
    if world.is_full:
        world.log("there is room again")
    world.is_full = False


def _be_busy(world: World) -> None:
    runner = _one(world)
    if runner is not None:
        runner.busy_writes = world.random.randint(1, 3)


def _lose_command(world: World) -> None:
    running = [run for run in world.runs.values() if run.outcome is None and not run.is_lost]
    if running:
        world.log("a command is lost")
        lose(world.random.choice(running))


# ---- People


def _knock(kind: str, **data: Value) -> Callable[[World], None]:
    def knock(world: World) -> None:
        jobs = sorted(world.journal.stories)
        if jobs:
            world.knocks.deliver(world.random.choice(jobs), kind, **data)

    return knock


def _cancel(world: World) -> None:
    if world.random.random() < 0.3:  # not the end of every run
        _knock("cancel")(world)


def _answer(world: World) -> None:
    for job_id in world.active:
        answer(world, job_id)


def answer(world: World, job_id: int) -> None:
    """Says what became of the step at which a job is parked; without one it is a message like another."""
    outcomes: list[Value] = [5, 0, {"statuses": [0], "output": "5\n", "stderr": ""}, {"statuses": "x"}, "5", None]
    value = outcomes[0] if _is_request(world, job_id) else world.random.choice(outcomes)
    world.knocks.deliver(job_id, "answer", value=value)


def _is_request(world: World, job_id: int) -> bool:
    """Whether the step is an HTTP request, whose value the program counts with."""
    step = _parked_step(world, job_id)
    return step is None or world.journal.stories[job_id].requests[step]["connector"] == "http"


def _parked_step(world: World, job_id: int) -> int | None:
    story = world.journal.stories[job_id]
    return next((step for type, step, *_ in reversed(story.events) if type == "Parked"), None)


def _call_back(world: World) -> None:
    if world.addresses:
        address = world.random.choice(sorted(world.addresses))
        world.knocks.call_back(address, f"id {world.random.randint(1, 4)}")


def attend(world: World, *, may_cancel: bool) -> None:
    """What a person does about jobs that have not come to an end by themselves."""
    for address in sorted(world.addresses):
        if address[0] in world.active:
            world.knocks.call_back(address, f"at the end {world.new_number()}")
    for job_id in world.active:
        state = world.journal.stories[job_id].state
        if state == "parked" and _parked_step(world, job_id) is not None and not may_cancel:
            if world.random.random() < 0.5:
                world.knocks.deliver(job_id, "retry")
            else:
                answer(world, job_id)
        elif state == "paused":
            world.knocks.deliver(job_id, "resume")
        elif state == "parked" or may_cancel:
            world.knocks.deliver(job_id, "cancel")


ACTS: dict[str, Callable[[World], None]] = {
    "crash": _crash,
    "light": _light,
    "stop": _stop,
    "terminate": _terminate,
    "new shell": _new_shell,
    "type another": _type_another,
    "adopt": _adopt,
    "leave": _leave,
    "detach": _detach,
    "set clock": _set_clock,
    "suspend": _suspend,
    "reboot": _reboot,
    "fill": _fill,
    "be busy": _be_busy,
    "lose command": _lose_command,
    "pause": _knock("pause"),
    "resume": _knock("resume"),
    "retry": _knock("retry"),
    "signal": _knock("signal", name="news", value=1),
    "cancel": _cancel,
    "answer": _answer,
    "call back": _call_back,
}
