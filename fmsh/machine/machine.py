"""The machine: runs a job's code, deterministically and without input or output.

    machine = Machine(program, facts, environment)       # the job's start
    machine = Machine.restore(program, environment, state_json)
    is_quiescent = machine.run(budget)                    # False: the budget is used up, call again
    effects = machine.take_effects()                      # in order: Request, CancelRequest, Observe, Display, End
    machine.feed(event)                                   # Observed, RequestCompleted, InboxTaken; then run again

The same program, facts and fed events give the same effects in the same order. An event that is fed between two slices
of a long run, and not when the machine is quiescent, carries `machine.instructions`, so that replay can feed it at the
same instruction (`run_to`). Tasks that have much to do take turns, by the same count.

The invariants (ARCHITECTURE 4): a snapshot is taken at quiescence only; waits but requests are executed again on
waking, so there is no half-done state; every request gets exactly one outcome and its task waits for it, also when
cancelled; cancel is raised before the next effect, wait or turn of a loop, once, and not while `defer`, `undo` or
`finally` runs. A task acts in its own turn only: what happens to one never runs the instructions of another.
"""

from __future__ import annotations

from fmsh.machine import interrupts
from fmsh.machine.code import node_of
from fmsh.machine.effects import CancelRequest, End, Observe, Request
from fmsh.machine.events import InboxTaken, ItemsRead, Observed, RequestCompleted
from fmsh.machine.facts import Facts, Wait, fill_first_scope
from fmsh.machine.handles import holds_block, receive, refuse_blocks
from fmsh.machine.sinks import frames_outwards, take_output
from fmsh.machine.state import Frame, Group, Scope, Task, Waiters, value_of_group
from fmsh.machine.step import STEPS, begin_output, bind_block, value_of
from fmsh.machine.unwind import complete, place_of
from fmsh.values import ErrorValue, Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.machine.channels import Channel
    from fmsh.machine.code import Program
    from fmsh.machine.effects import Effect
    from fmsh.machine.events import Event
    from fmsh.machine.state import CleanupEntry, Completion, Stream
    from fmsh.machine.stopping import Stop
    from fmsh.values import Secret, Value

__all__ = ["Facts", "Machine", "Wait"]

TURN_INSTRUCTIONS = 5000  # of one task while others are ready


class Machine:
    """One job's state and the four verbs over it: run, feed, take_effects, snapshot."""

    def __init__(self, program: Program, facts: Facts, environment: Mapping[str, str | Secret]) -> None:
        self.program = program
        self.facts = facts
        self.base_environment = environment
        self.effects: list[Effect] = []
        self.pending: dict[int, Request] = {}
        self.targets: dict[int, str | int] = {}  # step → id of the task, or of the group, that waits for it
        self.unwanted: set[int] = set()  # pending steps of tasks whose cancel was asked for
        self.observing: dict[int, str] = {}  # number → id of the task
        self.mailboxes: dict[str, list[Value]] = {}
        self.mailboxes_since: dict[str, int] = {}  # the last step that was made before its first delivery
        self.channels: dict[str, Channel] = {}
        self.streams: dict[int, Stream] = {}  # by the step of their request
        self.results: dict[str, Completion] = {}  # of spawned tasks that ended, until their group is over
        self.waiters = Waiters()
        self.tasks: dict[str, Task] = {}
        self.groups: dict[int, Group] = {}
        self.ready: dict[str, Task] = {}  # an ordered set
        self.turn: tuple[Task, int] | None = None  # whose turn it is, and up to which instruction
        self.undo_errors: list[ErrorValue] = []
        self.stopped: dict[str, Stop] = {}  # tasks of a held job, by id
        self.released: list[int] = []  # see `machine.claims`; the next commit takes them
        self.instructions = 0
        self.steps = 0
        self.observations = 0
        self.scopes = 0
        self.serials = 0
        self.groups_made = 0
        self.channels_made = 0
        self.is_ended = False
        self.left: tuple[Scope, Task] | None = None  # the main body's scope and its task, once that has ended
        self._start()

    def _start(self) -> None:
        facts = self.facts
        code = self.program.codes[facts.entry or self.program.main]
        scope = None
        for level in [*(self.program.codes[id] for id in code.outer), code]:
            scope = Scope(self.new_scope_id(), level, scope)
            fill_first_scope(facts, scope)
        assert scope is not None
        task = Task(self.waiters, "0", group=None, index=0, environment={}, directory=facts.directory)
        frame = Frame(code, scope, kind="main", position="show")
        begin_output(frame)
        task.frames.append(frame)
        self.tasks[task.id] = task
        self.ready[task.id] = task

    @classmethod
    def restore(cls, program: Program, environment: Mapping[str, str | Secret], state_json: str) -> Machine:
        """Makes a machine of a snapshot's text. Raises: KeyError, ValueError when it does not fit the program."""
        from fmsh.machine import saving  # most jobs end before their first snapshot, and start-up is short

        return saving.restore(cls, program, environment, state_json)

    def snapshot(self) -> str:
        """The whole state as JSON text; only when quiescent and after `take_effects`."""
        assert not self.ready and not self.effects and not self.observing, "a snapshot in the middle of a turn"
        from fmsh.machine import saving

        return saving.save(self)

    # -- running

    def run(self, budget: int) -> bool:
        """Runs until every task waits (True), or until `budget` instructions have run (False)."""
        return self._run(self.instructions + budget)

    def run_to(self, instruction: int) -> None:
        """Runs up to exactly this many instructions since the job's start, as in replay of a long run."""
        self._run(instruction)

    def _run(self, limit: int) -> bool:
        while self.ready or (self.channels and self._end_channel()):
            task = next(iter(self.ready.values()))
            if self.turn is None or self.turn[0] is not task:
                self.turn = task, self.instructions + TURN_INSTRUCTIONS
            until = min(limit, self.turn[1])
            while task.waiting is None and task.frames and self.instructions < until:
                self._step(task)
            is_cut_off = task.waiting is None and bool(task.frames)
            if is_cut_off and self.instructions >= limit:
                return False
            self.turn = None
            self.ready.pop(task.id, None)
            if is_cut_off:
                self.ready[task.id] = task  # behind the others
        return True

    def _end_channel(self) -> bool:
        """Nothing more can happen by itself: closes a channel that nobody is left for, if there is one."""
        from fmsh.machine import channels

        return not self.is_ended and channels.end_one(self)

    def _step(self, task: Task) -> None:
        frame = task.frames[-1]
        instructions = frame.code.instructions
        if frame.pc >= len(instructions):
            complete(self, task, frame.completion or ("value", value_of(frame)))
            return
        self.instructions += 1
        instruction = instructions[frame.pc]
        try:
            STEPS[instruction[0]](self, task, frame, instruction)
        except Raised as problem:
            self.throw(task, problem.error, node_of(problem) or instruction[1])

    def throw(self, task: Task, error: ErrorValue, node: int) -> None:
        """Raises an error of the program in a task. The place where it was first raised stays with it."""
        if not (self.facts.is_held and self._stops(task, error, node)):
            complete(self, task, self._raised(task, error, node))

    def _stops(self, task: Task, error: ErrorValue, node: int) -> bool:
        from fmsh.machine import stopping  # few jobs are held

        return stopping.stop(self, task, self.located(task, error, node))

    def _raised(self, task: Task, error: ErrorValue, node: int) -> Completion:
        error = self.located(task, error, node)
        return "cancel" if error.kind == "cancelled" and task.cancel == "delivered" else "error", error

    def located(self, task: Task, error: ErrorValue, node: int) -> ErrorValue:
        """Gives an error with the place where it was raised, if it has none yet."""
        if error.fields.get("where") is not None:
            return error
        return ErrorValue({**error.fields, "where": place_of(self, task, node)})

    def take_effects(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects

    # -- asking

    def ask(self, task: Task, connector: str, operation: str, arguments: dict[str, Value], node: int) -> None:
        """Asks for an effect; the task waits for its outcome at the instruction that asked."""
        task.waiting = ("request", self._request(task, connector, operation, arguments, node, target=task.id))

    def ask_for_group(
        self, group: Group, task: Task, connector: str, operation: str, arguments: dict[str, Value], node: int
    ) -> int:
        return self._request(task, connector, operation, arguments, node, target=group.id)

    def _request(
        self, task: Task, connector: str, operation: str, arguments: dict[str, Value], node: int, *, target: str | int
    ) -> int:
        refuse_blocks(arguments)
        self.steps += 1
        step = self.steps
        request = Request(step, task.id, connector, operation, arguments, node, self._is_once(task))
        if connector == "http":
            from fmsh.machine import retrying  # most programs ask nothing of this kind

            again, task.again = task.again, None
            request = request.replace(key_step=again or retrying.key_step(self, task, step, node, arguments))
        self.pending[step] = request
        self.targets[step] = target
        self.effects.append(request)
        return step

    def observe(self, task: Task, operation: str, arguments: dict[str, Value]) -> None:
        """Asks a question that the engine answers at once."""
        self.observations += 1
        self.observing[self.observations] = task.id
        task.waiting = ("observe", self.observations)
        given = {"base": task.directory, **arguments}
        if operation in ("home", "directory"):
            environment = self.environment_of(task)
            given |= {name: str(environment[name]) for name in ("HOME", "OLDPWD") if name in environment}
        self.effects.append(Observe(self.observations, operation, given))

    # -- feeding

    def feed(self, event: Event) -> None:
        """Takes one event of the world in. The caller then runs the machine to quiescence again."""
        if isinstance(event, RequestCompleted):
            self._complete_request(event)
        elif isinstance(event, Observed):
            self._take_observation(event)
        elif isinstance(event, InboxTaken):
            self._take_inbox(event)
        elif isinstance(event, ItemsRead):
            from fmsh.machine import streams  # few programs have any

            streams.feed(self, event)
        else:
            raise TypeError(f"{type(event).__name__} is not fed to a machine")

    def _take_observation(self, event: Observed) -> None:
        task = self.tasks[self.observing.pop(event.number)]
        if isinstance(event.value, ErrorValue):
            task.waiting = None
            self.wake(task)
            frame = task.frames[-1]
            self.throw(task, event.value, frame.code.instructions[frame.pc][1])
        else:
            self._continue(task, event.value)

    def _complete_request(self, event: RequestCompleted) -> None:
        if event.step in self.streams:
            from fmsh.machine import streams

            streams.complete(self, event)
            return
        request = self.pending.pop(event.step)
        target = self.targets.pop(event.step)
        self.unwanted.discard(event.step)
        if isinstance(target, int):
            self._complete_timer(self.groups[target], request, event)
            return
        task = self.tasks[target]
        task.waiting = None
        task.answered = request
        self.wake(task)
        if event.is_cancelled or (event.error is not None and interrupts.interrupt_of(self, task) is not None):
            if not interrupts.raise_interrupt(self, task):
                self.throw(task, error_value("cancelled", "the effect was cancelled"), request.node)
        elif event.error is not None:
            self.throw(task, event.error, request.node)
        else:
            value = event.value
            if request.connector == "process":
                value = take_output(self, task, request, value)
            self._continue(task, value)

    def _continue(self, task: Task, value: Value) -> None:
        """Puts an answer into the slot of the instruction that asked, and lets the task go on after it."""
        frame = task.frames[-1]
        frame.scope.slots[frame.code.instructions[frame.pc][2]] = value
        frame.pc += 1
        task.waiting = None
        self.wake(task)

    def _complete_timer(self, group: Group, request: Request, event: RequestCompleted) -> None:
        group.timer = None
        was_cancelled, group.timer_state = group.timer_state == "cancelled", "done"
        if not was_cancelled and not event.is_cancelled and group.running:
            from fmsh.machine.lateness import late_error

            group.error = ("error", event.error or late_error(self, group, request.arguments["duration"]))
            self.cancel_children(group)
        self.finish_group_if_over(group)

    def _take_inbox(self, event: InboxTaken) -> None:
        if event.kind in ("retry", "outcome"):
            from fmsh.machine import stopping

            stopping.take_up(self, event.kind, event.data)
        elif event.kind == "cancel":
            main = self.tasks.get("0")
            if main is not None:
                interrupts.cancel(self, main)
        else:
            receive(self, event.kind, event.data)

    def wake(self, task: Task) -> None:
        self.ready.setdefault(task.id, task)

    def wake_waiting(self, kind: str, id: str | int) -> None:
        for task in self.waiters.of(kind, id):
            task.waiting = None
            self.wake(task)

    # -- tasks and groups

    def new_scope_id(self) -> int:
        self.scopes += 1
        return self.scopes

    def new_serial(self) -> int:
        self.serials += 1
        return self.serials

    def new_group(self, kind: str, owner: Task) -> Group:
        self.groups_made += 1
        group = Group(self.groups_made, kind, owner.id)
        self.groups[group.id] = group
        return group

    def start_task(
        self, group: Group, parent: Task, code_id: int, scope: Scope | None, arguments: list[Value], *, position: str
    ) -> Task:
        """Starts a task in a group. It begins with its parent's environment and directory."""
        code = self.program.codes[code_id]
        parent.children += 1
        task = Task(
            self.waiters,
            f"{parent.id}.{parent.children}",
            group=group.id,
            index=group.started,
            environment=parent.environment,
            directory=parent.directory,
        )
        group.started += 1
        frame = Frame(code, Scope(self.new_scope_id(), code, scope), kind="task", position=position)
        begin_output(frame)
        bind_block(frame.scope, code, arguments)
        task.frames.append(frame)
        group.running[task.id] = None
        self.tasks[task.id] = task
        self.ready[task.id] = task
        return task

    def end_task(self, task: Task, completion: Completion, undos: list[CleanupEntry]) -> None:
        """A task has left its last frame."""
        del self.tasks[task.id]
        task.waiting = ("ended", None)
        if task.group is None:
            self._end_job(completion)
            return
        group = self.groups[task.group]
        if completion[0] == "return" and group.kind != "within":
            completion = "value", completion[1]
        del group.running[task.id]
        group.results[task.index] = completion
        group.undos.extend(undos)
        if group.kind == "spawn":
            group.items.append(task.id)
            self._end_spawned(group, task, completion)
            return
        if group.kind == "within":
            self._end_within(group, task, completion)
        elif group.kind == "race":
            from fmsh.machine import racing  # few programs have any

            racing.end_racer(self, group, completion)
        elif completion[0] in ("error", "exit"):
            group.error = group.error or completion
            interrupts.cancel_children(self, group)
        if group.kind == "each":
            from fmsh.machine import parallel  # few programs have any

            parallel.start_more(self, group)
        else:
            self.finish_group_if_over(group)

    def _end_spawned(self, group: Group, task: Task, completion: Completion) -> None:
        self.results[task.id] = completion
        owner = self.tasks[group.owner]
        is_awaited = bool(self.waiters.of("task", task.id))
        if completion[0] in ("error", "exit"):
            group.failed.append(task.id)
            if not is_awaited or completion[0] == "exit":
                interrupts.cancel_children(self, group)
                interrupts.interrupt(self, owner, group, completion)
        self.wake_waiting("task", task.id)
        if owner.waiting == ("leave", group.id) and not group.running:
            self.leave_in_turn(owner)

    def _end_within(self, group: Group, task: Task, completion: Completion) -> None:
        owner = self.tasks[group.owner]
        owner.environment, owner.directory = task.environment, task.directory
        if completion[0] == "value":
            group.error = None
        elif completion[0] != "cancel" or group.error is None:
            group.error = completion
        if group.timer is not None and group.timer_state == "running":
            group.timer_state = "cancelled"
            self.effects.append(CancelRequest(group.timer))

    def finish_group_if_over(self, group: Group) -> None:
        if group.running or group.timer is not None or group.id not in self.groups:
            return
        if group.kind == "each":
            from fmsh.machine import parallel

            if parallel.is_unfinished(self, group):
                return
        owner = self.tasks[group.owner]
        del self.groups[group.id]
        frame = owner.frames[-1]
        frame.cleanup.extend(group.undos)
        frame.cleanup.sort(key=lambda entry: entry[0])
        failure = group.interrupted or group.error
        if failure is not None:
            node = frame.code.instructions[frame.pc][1]
            if failure[0] == "error" and self.facts.is_held and self._stops(owner, failure[1], node):
                return
            frame.completion = self._raised(owner, failure[1], node) if failure[0] == "error" else failure
            self.leave_in_turn(owner)
            return
        self._continue(owner, value_of_group(group))

    def leave_in_turn(self, task: Task) -> None:
        """Lets a task go on leaving its top frame when its turn comes."""
        frame = task.frames[-1]
        assert frame.completion is not None
        frame.pc = len(frame.code.instructions)
        task.waiting = None
        self.wake(task)

    def cancel_children(self, group: Group) -> None:
        interrupts.cancel_children(self, group)

    # -- the end

    def _end_job(self, completion: Completion) -> None:
        self.is_ended = True
        kind, value = completion
        if kind not in ("exit", "error", "cancel"):
            kind, value = "value", None if holds_block(value) else value  # a block cannot leave its job
        field = {"exit": "status", "cancel": "error"}.get(kind, kind)
        self.effects.append(End(undo_errors=self.undo_errors, **{field: value}))

    # -- what others ask

    def environment_of(self, task: Task) -> dict[str, str | Secret]:
        """The environment of a task: the job's, with the task's changes."""
        merged = {**self.base_environment, **task.environment}
        return {name: text for name, text in merged.items() if text is not None}

    def task_environment(self, step: int) -> tuple[Mapping[str, str | Secret], str]:
        """The environment and the directory of the task that made a pending request."""
        task = self.tasks.get(self.pending[step].task) or self.tasks["0"]
        environment = self.environment_of(task) if task.environment else self.base_environment
        return environment, task.directory

    def is_foreground(self, step: int) -> bool:
        """Whether a pending request was made by the main task, outside of stages and concurrent blocks."""
        return self.pending[step].task == "0"

    def encloses_handler(self, step: int) -> bool:
        """Whether a try, `||` or `result` would see the failure of a pending step."""
        task = self.tasks.get(self.pending[step].task)
        around = () if task is None else frames_outwards(self, task)
        return any(frame.kind == "result" or frame.catch is not None for frame in around)

    def _is_once(self, task: Task) -> bool:
        return any(frame.is_once for frame in frames_outwards(self, task))

    def waits(self) -> list[Wait]:
        """What the job waits for, outermost task first; for people."""
        from fmsh.machine import waits  # most jobs end without anybody asking

        return waits.of(self)
