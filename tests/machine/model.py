"""A second reading of the language's rules, to judge the machine by: the tree of a program run by Python generators.

It shares no code with the machine. Where that has frames, handlers and one routine for unwinding, this has Python's own
calls; a task is a generator that yields what it waits for. What it shares is the rules:

- A body is left in this order: what it spawned ends (cancelled first if the body fails), `defer` and, if it fails,
  `undo` run, last first; then `catch`, then `finally`. Undo entries of what succeeded move up, by serial number.
- A cancel is raised before the next effect, wait, or turn of a loop; once; and never in `defer`, `undo`, `finally`.
- The failure of a spawned task that nobody awaits is raised in its owner like a cancel, and again at the end of the
  body that spawned it: it is never lost.
- A race is won by the first that ends with a value; who ends with one after that is left as cancelled, and undone.
- A task that is asked to stop while an effect is in flight waits for its one outcome; a value that comes counts.
- When every task waits, and some for channels that only waiting tasks could go on with, one of these channels ends: the
  oldest whose senders have all ended, else the oldest that nobody has sent into, else the oldest.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from tests.machine.programs import Body, Node

Completion = tuple[str, Any]
Run = Generator[tuple[Any, ...], Any, Any]
CLEANUP = ("defer", "undo", "finally")


class Leaves(Exception):
    """A body is left before its end: by an error, cancel, exit, return, break or continue."""

    def __init__(self, completion: Completion) -> None:
        self.completion = completion


def is_failing(completion: Completion) -> bool:
    return completion[0] in ("error", "cancel") or (completion[0] == "exit" and completion[1] != 0)


class Names:
    """The variables of one run of one body."""

    def __init__(self, parent: Names | None) -> None:
        self.parent = parent
        self.own: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        names: Names | None = self
        while names is not None:
            if name in names.own:
                return names.own[name]
            names = names.parent
        raise KeyError(name)

    def assign(self, name: str, value: Any) -> None:
        names: Names | None = self
        while names is not None:
            if name in names.own:
                names.own[name] = value
                return
            names = names.parent
        raise KeyError(name)


class Level:
    """One body being run by a task."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.cleanup: list[tuple[int, str, int, Body, Names]] = []
        self.group: Nursery | None = None
        self.completion: Completion = ("value", None)
        self.feed: Feed | None = None


class Nursery:
    def __init__(self, kind: str, owner: Task) -> None:
        self.kind = kind
        self.owner = owner
        self.running: list[Task] = []
        self.values: dict[int, Any] = {}
        self.error: Completion | None = None
        self.failures: dict[str, Completion] = {}  # of a spawn: what is not handled where it is awaited
        self.stopped: Completion | None = None  # why the owner wants it no more; of a spawn: to be raised in the owner
        self.undos: list[Any] = []
        self.ids: list[str] = []  # of the tasks that a spawn has started
        self.won: Completion | None = None  # of a race
        self.timer: str | None = None
        self.start: Any = None  # starts the next item of an each
        self.started = 0
        self.items = 0
        self.limit = 0

    @property
    def is_over(self) -> bool:
        if self.running or self.timer is not None:
            return False
        return self.kind != "each" or self.error is not None or self.stopped is not None or self.started >= self.items


class Queue:
    """A channel. Every task can reach every one: they are made at the top."""

    def __init__(self, number: int, capacity: int) -> None:
        self.number = number
        self.capacity = capacity
        self.items: list[Any] = []
        self.senders: set[str] = set()
        self.is_closed = False


class Feed:
    """A stream."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.items: list[Any] = []
        self.outcome: Completion | None = None


class Task:
    def __init__(self, id: str, nursery: Nursery | None, index: int, sinks: list[list[Any]]) -> None:
        self.id = id
        self.nursery = nursery
        self.index = index
        self.sinks = sinks  # the lists that the functions around it emit into
        self.levels: list[Level] = []
        self.waiting: tuple[Any, ...] | None = None
        self.cancel = "no"
        self.children = 0
        self.feeds = 0
        self.run: Run | None = None
        self.answer: Any = None


class Model:
    """Runs a program. Effects are tuples; `answer`, `deliver` and `cancel_job` are the events."""

    def __init__(self, body: Body) -> None:
        self.functions: dict[str, Node] = {}
        self.effects: list[tuple[Any, ...]] = []
        self.pending: dict[str, Task | Nursery | Feed] = {}
        self.unwanted: set[str] = set()  # pending requests that were cancelled
        self.mailboxes: dict[str, list[Any]] = {}
        self.ended: dict[str, Completion] = {}
        self.tasks: dict[str, Task] = {}
        self.ready: dict[str, Task] = {}
        self.observing: list[Task] = []
        self.serials = 0
        self.undo_errors: list[str] = []
        self.end: tuple[Any, ...] | None = None
        self.main = self._start(None, "0", 0, lambda task: self._body(task, body, None, [], kind="main"), [])

    # -- tasks

    def _start(self, nursery: Nursery | None, id: str, index: int, make: Any, sinks: list[list[Any]]) -> Task:
        task = Task(id, nursery, index, sinks)
        task.run = self._whole(task, make)
        self.tasks[id] = self.ready[id] = task
        if nursery is not None:
            nursery.running.append(task)
        return task

    def _child(self, nursery: Nursery, make: Any, sinks: list[list[Any]]) -> Task:
        nursery.owner.children += 1
        id = f"{nursery.owner.id}.{nursery.owner.children}"
        nursery.started += 1
        return self._start(nursery, id, nursery.started - 1, make, sinks)

    def _whole(self, task: Task, make: Any) -> Run:
        """All of a task: its completion and the undo entries that it leaves go to its nursery."""
        undos: list[Any] = []
        try:
            completion: Completion = ("value", (yield from make(task)(undos)))
        except Leaves as left:
            completion = left.completion
        if completion[0] == "return" and (task.nursery is None or task.nursery.kind != "within"):
            completion = "value", completion[1]
        self._ended(task, completion, undos)

    def _ended(self, task: Task, completion: Completion, undos: list[Any]) -> None:
        del self.tasks[task.id]
        task.waiting = ("ended",)
        nursery = task.nursery
        if nursery is None:
            self._end(completion)
            return
        nursery.running.remove(task)
        nursery.undos += undos
        nursery.values[task.index] = completion[1]
        if nursery.kind == "spawn":
            self._spawned_ended(nursery, task, completion)
            return
        if nursery.kind == "within":
            if completion[0] == "value":
                nursery.error = None
            elif completion[0] != "cancel" or nursery.error is None:
                nursery.error = completion
            if nursery.timer is not None and nursery.timer != "stopping":
                self.effects.append(("cancel", nursery.timer))
                nursery.timer = "stopping"
        elif nursery.kind == "race":
            self._raced(nursery, completion)
        elif completion[0] in ("error", "exit"):
            nursery.error = nursery.error or completion
            self._cancel_all(nursery)
        self._more(nursery)

    def _raced(self, nursery: Nursery, completion: Completion) -> None:
        if completion[0] == "value":
            assert nursery.won is None, "a race is won once"
            nursery.won = completion
        if completion[0] == "exit" and nursery.error is None:
            nursery.error = completion
        if completion[0] == "error":
            nursery.failures.setdefault("first", completion)
        if completion[0] in ("value", "exit"):
            self._cancel_all(nursery)
        elif not nursery.running and nursery.won is None:
            nursery.error = nursery.error or nursery.failures.get("first")

    def _spawned_ended(self, nursery: Nursery, task: Task, completion: Completion) -> None:
        self.ended[task.id] = completion
        awaiters = [other for other in self.tasks.values() if other.waiting == ("task", task.id)]
        if completion[0] in ("error", "exit"):
            nursery.failures[task.id] = completion
            if not awaiters or completion[0] == "exit":
                self._cancel_all(nursery)
                nursery.stopped = nursery.stopped or completion
                self._stop_waiting(nursery.owner)
        for other in awaiters:
            self._wake(other)
        if nursery.owner.waiting == ("leave", nursery) and not nursery.running:
            self._wake(nursery.owner)

    def _more(self, nursery: Nursery) -> None:
        if nursery.kind == "each":
            while (
                len(nursery.running) < nursery.limit
                and nursery.started < nursery.items
                and nursery.error is None
                and nursery.stopped is None
            ):
                nursery.start()
        if nursery.is_over and nursery.owner.waiting == ("group", nursery):
            self._wake(nursery.owner)

    def _wake(self, task: Task) -> None:
        task.waiting = None
        self.ready.setdefault(task.id, task)

    # -- what drives it

    def run(self) -> None:
        while self.ready or self.observing or self._end_queue():
            if not self.ready:
                self._wake(self.observing.pop(0))
            task = next(iter(self.ready.values()))
            if task.waiting is None:
                assert task.run is not None
                try:
                    task.waiting = task.run.send(None)
                except StopIteration:
                    task.run = None
            self.ready.pop(task.id, None)

    def _end_queue(self) -> bool:
        """Ends a channel that nobody is left for."""
        stuck = dict(self.tasks)
        while True:
            awake = [task for task in stuck.values() if self._can_go_on(task, stuck)]
            if not awake:
                break
            for task in awake:
                del stuck[task.id]
        queues = {task.waiting[1] for task in stuck.values() if task.waiting and task.waiting[0] in ("items", "room")}
        if queues:
            self._close(min(queues, key=self._rank))
        return bool(queues)

    def _can_go_on(self, task: Task, stuck: dict[str, Task]) -> bool:
        assert task.waiting is not None
        kind, what, *_ = (*task.waiting, None)
        if kind in ("group", "leave"):
            return what.timer is not None or any(child.id not in stuck for child in what.running)
        if kind in ("items", "room"):
            return len(stuck) < len(self.tasks)
        return what not in stuck if kind == "task" else True

    def _rank(self, queue: Queue) -> tuple[int, int]:
        alive = any(id in self.tasks for id in queue.senders)
        return (2 if alive else 0 if queue.senders else 1), queue.number

    def _close(self, queue: Queue) -> None:
        queue.is_closed = True
        self._wake_for("items", queue)
        self._wake_for("room", queue)

    def _wake_for(self, kind: str, queue: Queue | Feed) -> None:
        for task in self.tasks.values():
            if task.waiting == (kind, queue):
                self._wake(task)

    def answer(self, key: str, outcome: tuple[str, Any]) -> None:
        """The one outcome of a request: ("value", v), ("error", kind) or ("cancelled", None)."""
        target = self.pending.pop(key)
        self.unwanted.discard(key)
        if isinstance(target, Task):
            target.answer = outcome
            self._wake(target)
            return
        if isinstance(target, Feed):
            target.outcome = outcome
            self._wake_for("feed", target)
            self._wake_for("feed end", target)
            return
        was_stopping, target.timer = target.timer == "stopping", None
        if not was_stopping and outcome[0] != "cancelled" and target.running:
            target.error = ("error", outcome[1] if outcome[0] == "error" else "timeout")
            self._cancel_all(target)
        self._more(target)

    def give(self, key: str, items: list[Any]) -> None:
        """Items of a stream."""
        feed = self.pending[key]
        assert isinstance(feed, Feed)
        feed.items += items
        self._wake_for("feed", feed)

    def hungry(self) -> list[str]:
        return [task.waiting[1].key for task in self.tasks.values() if task.waiting and task.waiting[0] == "feed"]

    def deliver(self, handle: str, value: Any) -> None:
        self.mailboxes.setdefault(handle, []).append(value)
        for task in self.tasks.values():
            if task.waiting == ("mailbox", handle):
                self._wake(task)

    def cancel_job(self) -> None:
        if self.main.id in self.tasks:
            self._cancel(self.main)

    def take_effects(self) -> list[tuple[Any, ...]]:
        effects, self.effects = self.effects, []
        return effects

    def _end(self, completion: Completion) -> None:
        kind, value = completion
        shown = "error" if kind == "cancel" else kind
        self.end = (shown, None if kind == "value" else value, tuple(self.undo_errors))

    # -- cancelling

    def _due(self, task: Task) -> Completion | None:
        """The cancel, or the failure of something spawned, that is to be raised in a task now."""
        if task.cancel == "requested" and not any(level.kind in CLEANUP for level in task.levels):
            return "cancel", "cancelled"
        for level in reversed(task.levels):
            if level.group is not None and level.group.stopped is not None:
                return level.group.stopped
            if level.kind in CLEANUP:
                break
        return None

    def _take_due(self, task: Task) -> Completion | None:
        due = self._due(task)
        if due is None:
            return None
        if due[0] == "cancel":
            task.cancel = "delivered"
        else:
            for level in reversed(task.levels):
                if level.group is not None and level.group.stopped is not None:
                    level.group.stopped = None
                    break
        return due

    def _check(self, task: Task) -> None:
        due = self._take_due(task)
        if due is not None:
            raise Leaves(due)

    def _cancel(self, task: Task) -> None:
        if task.cancel == "no":
            task.cancel = "requested"
            self._stop_waiting(task)

    def _cancel_all(self, nursery: Nursery) -> None:
        for task in list(nursery.running):
            self._cancel(task)

    def _unwant(self, key: str) -> None:
        if key not in self.unwanted:
            self.unwanted.add(key)
            self.effects.append(("cancel", key))

    def _stop_waiting(self, task: Task) -> None:
        if task.waiting is None or self._due(task) is None:
            return
        kind, *rest = task.waiting
        if kind == "request":
            self._unwant(rest[0])
        elif kind == "group":
            due = self._due(task)
            nursery = rest[0]
            if nursery.stopped is None:
                nursery.stopped = due
                self._take_due(task)
            self._cancel_all(nursery)
            self._more(nursery)
        elif kind == "leave":
            level = task.levels[-1]
            due = self._take_due(task)
            assert due is not None
            if not is_failing(level.completion):
                level.completion = due
            self._cancel_all(rest[0])
        elif kind in ("mailbox", "task", "items", "room", "feed"):
            self._wake(task)

    # -- bodies

    def _body(
        self, task: Task, body: Body, names: Names | None, up: list[Any] | None, *, kind: str = "body", **given: Any
    ) -> Any:
        if up is None or kind in ("main", "task"):
            return lambda undos: self._run_body(task, body, names, undos, kind, given)
        return self._run_body(task, body, names, up, kind, given)

    def _run_body(
        self, task: Task, body: Body, outer: Names | None, up: list[Any], kind: str, given: dict[str, Any]
    ) -> Run:
        catch, finally_ = given.get("catch"), given.get("finally_")
        level = Level(kind)
        task.levels.append(level)
        names = Names(outer)
        names.own.update(given.get("bind", {}))
        level.completion = yield from self._completion(self._statements(task, level, body, names))
        if (
            kind == "task"
            and task.nursery is not None
            and task.nursery.won is not None
            and level.completion[0] != "error"
        ):
            level.completion = ("cancel", "cancelled")  # it comes too late: what it did is undone
        yield from self._leave(task, level)
        if catch is not None and level.completion[0] == "error":
            number, handler = catch
            bound = {f"e{number}": level.completion[1]}
            said = [("show", f"caught {number} {level.completion[1]}"), *handler]
            caught = self._body(task, said, outer, level.cleanup, bind=bound, kind="catch")
            level.completion = yield from self._completion(caught)
            yield from self._leave(task, level)
        if finally_ is not None:
            number, handler = finally_
            before = level.completion
            said = [("show", f"finally {number}"), *handler]
            done = yield from self._completion(self._body(task, said, outer, level.cleanup, kind="finally"))
            level.completion = done if done[0] != "value" and not is_failing(before) else before
            self._tell_of_failed_cleanup(before, done)
            yield from self._leave(task, level)
        task.levels.pop()
        if not is_failing(level.completion):
            up.extend(entry for entry in level.cleanup if entry[1] == "undo")
            up.sort(key=lambda entry: entry[0])
        if level.completion[0] != "value":
            raise Leaves(level.completion)
        return level.completion[1]

    def _completion(self, run: Run) -> Generator[tuple[Any, ...], Any, Completion]:
        try:
            return "value", (yield from run)
        except Leaves as left:
            return left.completion

    def _leave(self, task: Task, level: Level) -> Run:
        while True:
            if level.feed is not None:
                yield from self._end_feed(level.feed)
                level.feed = None
            nursery = level.group
            if nursery is not None:
                if is_failing(level.completion):
                    self._cancel_all(nursery)
                while nursery.running:
                    yield ("leave", nursery)
                level.group = None
                for id in nursery.ids:
                    del self.ended[id]
                level.cleanup += nursery.undos
                level.cleanup.sort(key=lambda entry: entry[0])
                if nursery.failures and not is_failing(level.completion):
                    level.completion = next(iter(nursery.failures.values()))
            failing = is_failing(level.completion)
            wanted = [entry for entry in level.cleanup if failing or entry[1] == "defer"]
            if not wanted:
                return
            entry = wanted[-1]
            level.cleanup.remove(entry)
            _serial, kind, number, body, names = entry
            said = [("show", f"{kind} {number}"), *body]
            done = yield from self._completion(self._body(task, said, names, level.cleanup, kind=kind))
            if done[0] in ("value", "return"):
                continue
            if kind == "undo":
                if done[0] in ("error", "cancel"):  # cancelled, it is not done either
                    self.undo_errors.append(done[1])
                elif is_failing(done):
                    self.undo_errors.append("exit")
            elif not is_failing(level.completion):
                level.completion = done
            else:
                self._tell_of_failed_cleanup(level.completion, done)

    def _tell_of_failed_cleanup(self, before: Completion, done: Completion) -> None:
        if before[0] == "exit" and is_failing(before) and done[0] == "error":
            self._show(f"a cleanup failed on the way to `exit {before[1]}`")

    # -- statements

    def _statements(self, task: Task, level: Level, body: Body, names: Names) -> Run:
        for node in body:
            if node[0] == "def":
                self.functions[f"f{node[1]}"] = node
        value = None
        for node in body:
            value = yield from getattr(self, f"_do_{node[0]}")(task, level, names, *node[1:])
        return value

    def _show(self, text: str) -> None:
        self.effects.append(("show", text + "\n"))

    def _ask(self, task: Task, what: tuple[Any, ...]) -> Run:
        self._check(task)
        self.pending[task.id] = task
        self.effects.append(("request", task.id, *what))
        yield ("request", task.id)
        kind, value = task.answer
        if kind == "cancelled" or (kind == "error" and self._due(task) is not None):
            self._check(task)
            raise Leaves(("error", "cancelled"))
        if kind == "error":
            raise Leaves(("error", value))
        return value

    def _observe(self, task: Task) -> Run:
        """Asks for the time: it comes at once, but when all the others wait."""
        self.observing.append(task)
        yield ("observe",)

    def _value(self, names: Names, given: Any) -> Any:
        return names[given] if isinstance(given, str) else given

    def _do_let(self, task: Task, level: Level, names: Names, number: int, value: int) -> Run:
        names.own[f"v{number}"] = value
        yield from ()

    def _do_raw(self, task: Task, level: Level, names: Names, line: str) -> Run:
        yield from ()

    def _do_show(self, task: Task, level: Level, names: Names, text: str) -> Run:
        self._show(text)
        yield from ()

    def _do_print(self, task: Task, level: Level, names: Names, number: Any, name: str | None) -> Run:
        self._show(str(number) if name is None else f"{number} {_written(names[name])}")
        yield from ()

    def _do_value(self, task: Task, level: Level, names: Names, number: int, given: Any) -> Run:
        yield from ()
        return self._value(names, given)

    def _do_post(self, task: Task, level: Level, names: Names, number: int, given: Any) -> Run:
        names.own[f"v{number}"] = yield from self._ask(task, ("http", number, self._value(names, given)))

    def _do_run(self, task: Task, level: Level, names: Names, number: int, given: Any, captured: bool) -> Run:
        how = "capture" if captured else "display"
        status, output = yield from self._ask(task, ("process", how, "go", number, self._value(names, given)))
        if status != 0:
            raise Leaves(("error", "exit"))
        if captured:
            self._show(f"{number} {output}")

    def _do_sleep(self, task: Task, level: Level, names: Names, number: int, seconds: int) -> Run:
        yield from self._ask(task, ("timer", seconds))

    def _do_set(self, task: Task, level: Level, names: Names, number: int, name: str, given: Any) -> Run:
        names.assign(name, self._value(names, given))
        yield from ()

    def _do_fail(self, task: Task, level: Level, names: Names, number: int) -> Run:
        yield from ()
        raise Leaves(("error", f"f{number}"))

    def _do_exit(self, task: Task, level: Level, names: Names, number: int, status: int) -> Run:
        yield from ()
        raise Leaves(("exit", status))

    def _do_break(self, task: Task, level: Level, names: Names, number: int) -> Run:
        yield from ()
        raise Leaves(("break", None))

    def _do_continue(self, task: Task, level: Level, names: Names, number: int) -> Run:
        yield from ()
        raise Leaves(("continue", None))

    def _do_return(self, task: Task, level: Level, names: Names, number: int, given: Any) -> Run:
        yield from ()
        raise Leaves(("return", self._value(names, given)))

    def _do_emit(self, task: Task, level: Level, names: Names, number: int, given: Any) -> Run:
        task.sinks[-1].append(self._value(names, given))
        yield from ()

    def _condition(self, task: Task, names: Names, node: Node) -> Run:
        kind, number, given, *rest = node
        value = self._value(names, given)
        if kind == "compare":
            return value > rest[0]
        if kind == "asked":
            return (yield from self._ask(task, ("http", number, value))) > 2
        status, _output = yield from self._ask(task, ("process", "display", "check", number, value))
        if status > 128:
            raise Leaves(("error", "exit"))
        return status == 0

    def _do_if(
        self, task: Task, level: Level, names: Names, number: int, condition: Node, then: Body, otherwise: Body
    ) -> Run:
        if (yield from self._condition(task, names, condition)):
            yield from self._body(task, then, names, level.cleanup)
        elif otherwise:
            yield from self._body(task, otherwise, names, level.cleanup)

    def _turn(self, run: Run) -> Generator[tuple[Any, ...], Any, tuple[bool, Any]]:
        """One turn of a loop: whether another may follow, and its value."""
        try:
            return True, (yield from run)
        except Leaves as left:
            if left.completion[0] in ("break", "continue"):
                return left.completion[0] == "continue", None
            raise

    def _do_for(self, task: Task, level: Level, names: Names, number: int, count: int, body: Body) -> Run:
        yield from self._turns(task, level, names, number, count, body, is_block=False)

    def _turns(
        self, task: Task, level: Level, names: Names, number: int, count: int, body: Body, *, is_block: bool
    ) -> Run:
        values: list[Any] = []
        for item in range(1, count + 1):
            self._check(task)
            bound = {f"v{number}": item}
            turn = self._body(task, body, names, level.cleanup, bind=bound, kind="loop")
            goes_on, value = yield from self._turn(self._called(turn) if is_block else turn)
            if not goes_on:
                return values
            values.append(value)
        self._check(task)
        return values

    def _do_while(self, task: Task, level: Level, names: Names, number: int, turns: int, body: Body) -> Run:
        for _ in range(turns):
            self._check(task)
            goes_on, _value = yield from self._turn(self._body(task, body, names, level.cleanup, kind="loop"))
            if not goes_on:
                return

    def _do_try(
        self, task: Task, level: Level, names: Names, number: int, body: Body, catch: Body | None, finally_: Body | None
    ) -> Run:
        handlers: dict[str, Any] = {
            "catch": None if catch is None else (number, catch),
            "finally_": None if finally_ is None else (number, finally_),
        }
        yield from self._body(task, body, names, level.cleanup, **handlers)

    def _do_or(self, task: Task, level: Level, names: Names, number: int, left: Body, right: Body) -> Run:
        done = yield from self._completion(self._body(task, left, names, level.cleanup))
        if done[0] == "error":
            yield from self._body(task, right, names, level.cleanup)
        elif done[0] != "value":
            raise Leaves(done)

    def _do_and(self, task: Task, level: Level, names: Names, number: int, left: Body, right: Body) -> Run:
        yield from self._body(task, left, names, level.cleanup)
        yield from self._body(task, right, names, level.cleanup)

    def _register(self, level: Level, kind: str, number: int, body: Body, names: Names) -> None:
        self.serials += 1
        level.cleanup.append((self.serials, kind, number, body, names))
        self._show(f"{kind} {number} is set")

    def _do_undo(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        self._register(level, "undo", number, body, names)
        yield from ()

    def _do_defer(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        self._register(level, "defer", number, body, names)
        yield from ()

    # -- concurrency

    def _do_spawn(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        self._check(task)
        if level.group is None:
            level.group = Nursery("spawn", task)
        child = self._child(level.group, lambda made: self._body(made, body, names, None, kind="task"), [])
        level.group.ids.append(child.id)
        names.own[f"t{number}"] = child.id
        yield from ()

    def _joined(self, task: Task, nursery: Nursery) -> Run:
        if not nursery.is_over:
            yield ("group", nursery)
        level = task.levels[-1]
        level.cleanup += nursery.undos
        level.cleanup.sort(key=lambda entry: entry[0])
        failure = nursery.stopped or nursery.error
        if failure is not None:
            raise Leaves(failure)
        return [nursery.values[index] for index in range(nursery.started)]

    def _do_each(self, task: Task, level: Level, names: Names, number: int, items: int, limit: int, body: Body) -> Run:
        self._check(task)
        nursery = Nursery("each", task)
        nursery.items, nursery.limit = items, limit

        def start() -> None:
            bound = {f"v{number}": nursery.started + 1}
            self._child(nursery, lambda made: self._body(made, body, names, None, kind="task", bind=bound), [])

        nursery.start = start
        self._more(nursery)
        values = yield from self._joined(task, nursery)
        self._show(f"{number} {_written(values)}")

    def _do_race(self, task: Task, level: Level, names: Names, number: int, bodies: list[Body]) -> Run:
        self._check(task)
        nursery = Nursery("race", task)
        for body in bodies:
            inner: Body = [("inner", body)]
            self._child(nursery, lambda made, inner=inner: self._body(made, inner, names, None, kind="task"), [])
        yield from self._joined(task, nursery)
        assert nursery.won is not None
        self._show(f"{number} {_written(nursery.won[1])}")

    def _do_inner(self, task: Task, level: Level, names: Names, body: Body) -> Run:
        return (yield from self._body(task, body, names, level.cleanup))

    def _within(self, task: Task, names: Names, seconds: int, body: Body) -> Run:
        self._check(task)
        nursery = Nursery("within", task)
        nursery.timer = f"{task.id} timer"
        self.pending[nursery.timer] = nursery
        self.effects.append(("request", nursery.timer, "timer", seconds))
        self._child(nursery, lambda made: self._body(made, body, names, None, kind="task"), task.sinks)
        values = yield from self._joined(task, nursery)
        return values[0]

    def _do_within(self, task: Task, level: Level, names: Names, number: int, seconds: int, body: Body) -> Run:
        value = yield from self._within(task, names, seconds, body)
        self._show(f"{number} {_written(value)}")

    def _do_turns(self, task: Task, level: Level, names: Names, number: int, items: int, body: Body) -> Run:
        values = yield from self._turns(task, level, names, number, items, body, is_block=True)
        self._show(f"{number} {_written(values)}")

    def _do_result(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        yield from self._observe(task)
        done = yield from self._completion(self._body(task, body, names, level.cleanup))
        if done[0] not in ("value", "error"):
            raise Leaves(done)
        yield from self._observe(task)
        self._show(f"{number} {'true' if done[0] == 'value' else 'false'}")

    def _do_once(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        value = yield from self._body(task, body, names, level.cleanup)
        self._show(f"{number} {_written(value)}")

    def _do_callback(self, task: Task, level: Level, names: Names, number: int, is_many: bool) -> Run:
        names.own[f"h{number}"] = yield from self._ask(task, ("callback", is_many))

    def _do_await(self, task: Task, level: Level, names: Names, number: int, handles: list[str], timed: bool) -> Run:
        wanted = [names[name] for name in handles]
        if timed:
            value = yield from self._within(task, names, 7, [("awaits", wanted)])
        else:
            value = yield from self._do_awaits(task, level, names, wanted)
        self._show(f"{number} {_written(value)}")

    def _do_awaits(self, task: Task, level: Level, names: Names, wanted: list[Any]) -> Run:
        while True:
            self._check(task)
            missing = next((handle for handle in wanted if not self._has(handle, wanted)), None)
            if missing is None:
                break
            if isinstance(missing, Queue):
                yield ("items", missing)
            else:
                yield ("task", missing) if isinstance(missing, str) else ("mailbox", missing[0])
        values = [self._taken(task, handle) for handle in wanted]
        return values if len(values) > 1 else values[0]

    def _has(self, handle: Any, wanted: list[Any]) -> bool:
        """Whether a handle has something; a task that is not there any more has its error."""
        if isinstance(handle, Queue):
            return handle.is_closed or len(handle.items) >= wanted.count(handle)
        if isinstance(handle, str):
            return handle in self.ended or handle not in self.tasks
        needed = wanted.count(handle) if handle[1] else 1
        return len(self.mailboxes.get(handle[0], [])) >= needed

    def _taken(self, task: Task, handle: Any) -> Any:
        if isinstance(handle, Queue):
            if not handle.items:
                raise Leaves(("error", "closed"))
            self._wake_for("room", handle)
            return handle.items.pop(0)
        if isinstance(handle, str):
            if handle not in self.ended:
                raise Leaves(("error", "name"))
            kind, value = self.ended[handle]
            if kind == "value":
                return value
            if kind == "exit":
                raise Leaves(("error", "exit"))
            self._forgive(handle)
            raise Leaves(("cancel" if value == "cancelled" and task.cancel == "delivered" else "error", value))
        box = self.mailboxes[handle[0]]
        return box.pop(0) if handle[1] else box[0]

    def _forgive(self, id: str) -> None:
        """The failure of a spawned task has been raised where it is awaited, so it is handled there."""
        for task in self.tasks.values():
            for level in task.levels:
                if level.group is not None:
                    level.group.failures.pop(id, None)

    # -- channels

    def _do_channel(self, task: Task, level: Level, names: Names, number: int, capacity: int) -> Run:
        names.own[f"q{number}"] = Queue(number, capacity)
        yield from ()

    def _do_send(self, task: Task, level: Level, names: Names, number: int, name: str, given: Any) -> Run:
        queue, value = names[name], self._value(names, given)
        while True:
            self._check(task)
            if queue.is_closed:
                raise Leaves(("error", "closed"))
            if len(queue.items) < queue.capacity:
                break
            yield ("room", queue)
        queue.items.append(value)
        queue.senders.add(task.id)
        self._wake_for("items", queue)
        self._show(f"{number} sent")

    def _do_close(self, task: Task, level: Level, names: Names, number: int, name: str) -> Run:
        self._close(names[name])
        yield from ()

    def _do_take(self, task: Task, level: Level, names: Names, number: int, name: str, body: Body) -> Run:
        queue = names[name]
        while True:
            self._check(task)
            if not queue.items:
                if queue.is_closed:
                    return
                yield ("items", queue)
                continue
            bound = {f"v{number}": self._taken(task, queue)}
            shown: Body = [("print", number, f"v{number}"), *body]
            goes_on, _value = yield from self._turn(
                self._body(task, shown, names, level.cleanup, bind=bound, kind="loop")
            )
            if not goes_on:
                return

    # -- streams

    def _do_read(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        yield from self._body(task, [("reads", number, body)], names, level.cleanup)

    def _do_reads(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        self._check(task)
        task.feeds += 1
        feed = level.feed = Feed(f"{task.id} stream {task.feeds}")
        self.pending[feed.key] = feed
        self.effects.append(("request", feed.key, "process", "stream", "feed", number, 0))
        while True:
            self._check(task)
            if feed.items:
                bound = {f"v{number}": feed.items.pop(0)}
                shown: Body = [("print", number, f"v{number}"), *body]
                turn = self._body(task, shown, names, level.cleanup, bind=bound, kind="loop")
                goes_on, _value = yield from self._turn(turn)
                if not goes_on:
                    break
            elif feed.outcome is None:
                yield ("feed", feed)
            elif feed.outcome[0] == "error":
                raise Leaves(feed.outcome)
            else:
                break
        is_early = bool(feed.items) or feed.outcome is None
        yield from self._end_feed(feed)
        level.feed = None
        assert feed.outcome is not None
        if not is_early and feed.outcome[0] == "value" and feed.outcome[1][0] != 0:
            raise Leaves(("error", "exit"))

    def _end_feed(self, feed: Feed) -> Run:
        if feed.outcome is None:
            self._unwant(feed.key)
        while feed.outcome is None:
            yield ("feed end", feed)

    # -- calls

    def _do_def(self, task: Task, level: Level, names: Names, number: int, body: Body) -> Run:
        yield from ()

    def _do_call(self, task: Task, level: Level, names: Names, number: int, name: str, given: Any) -> Run:
        node = self.functions[name]
        emits = any(_says_emit(inner) for inner in node[2])
        sink: list[Any] = []
        task.sinks = [*task.sinks, sink] if emits else task.sinks
        bound = {f"v{node[1]}": self._value(names, given)}
        try:
            value = yield from self._called(self._body(task, node[2], None, level.cleanup, bind=bound, kind="call"))
        finally:
            task.sinks = task.sinks[:-1] if emits else task.sinks
        self._show(f"{number} {_written(sink if emits else value)}")

    def _called(self, run: Run) -> Run:
        try:
            return (yield from run)
        except Leaves as left:
            if left.completion[0] == "return":
                return left.completion[1]
            raise

    def _do_block(self, task: Task, level: Level, names: Names, number: int, given: Any, body: Body) -> Run:
        bound = {f"v{number}": self._value(names, given)}
        value = yield from self._called(self._body(task, body, names, level.cleanup, bind=bound, kind="block"))
        self._show(f"{number} {_written(value)}")


def _says_emit(node: Any) -> bool:
    if isinstance(node, tuple) and node and node[0] == "emit":
        return True
    return isinstance(node, tuple | list) and any(_says_emit(part) for part in node)


def _written(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) else str(value)
