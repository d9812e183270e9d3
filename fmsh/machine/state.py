"""The state of a running job: plain data, no behaviour but that a task which waits is found in an index.

Only scopes are shared by identity. Tasks and groups have ids; every other mutable thing has one owner. A completion is
a pair: ("value", v), ("return", v), ("break", None), ("continue", None), ("error", e), ("cancel", e), ("exit", status).
"""

from __future__ import annotations

from _heapq import heappop, heappush

from fmsh.machine.code import UNSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from fmsh.machine.code import Code
    from fmsh.machine.effects import Request
    from fmsh.values import Secret, Value

    Completion = tuple[str, Any]
    CleanupEntry = tuple[int, str, int, "Scope"]  # serial, "defer" or "undo", code id, scope


SPARE_MAX = 64  # entries of a heap that name nobody any more


class Scope:
    """The variables of one run of one body."""

    __slots__ = ("code", "id", "parent", "slots")

    def __init__(self, id: int, code: Code, parent: Scope | None) -> None:
        self.id = id
        self.code = code
        self.parent = parent
        self.slots: list[Value] = [UNSET] * len(code.slots)


class Frame:
    """One body being run. `kind` says what its completion means to the frame below it:

    main, task (the first of a task), body, loop, call, block, catch, finally, cleanup.

    `position`: what becomes of the value of its last statement: "capture", "drop" or "show".
    `sink`: where what is said in it goes, by stream: "keep" into `shown`, as [stream, text]; else further out, to "out"
    or "err".
    """

    __slots__ = (
        "catch",
        "claim",
        "cleanup",
        "code",
        "completion",
        "finally_",
        "group",
        "is_once",
        "kind",
        "output",
        "outside",
        "pc",
        "position",
        "scope",
        "shown",
        "sink",
        "slot",
        "stream",
    )

    def __init__(self, code: Code, scope: Scope, *, kind: str, slot: int = -1, position: str = "drop") -> None:
        self.code = code
        self.pc = 0
        self.scope = scope
        self.kind = kind
        self.slot = slot  # of the frame below, where the value goes; -1: nowhere
        self.position = position
        self.output: list[Value] | None = None  # what it emitted
        self.cleanup: list[CleanupEntry] = []
        self.catch: tuple[int, int] | None = None  # code id and the slot of its error; -2: {ok, value, error}
        self.finally_: int | None = None
        self.completion: Completion | None = None  # set while the frame is being left
        self.group: int | None = None  # of what it spawned
        self.stream: int | None = None  # the step of the stream that it opened
        self.claim: tuple[int, str, str] | None = None  # the step, kind and name of the lock or limit of its block
        self.is_once = False
        self.sink: dict[str, str] | None = None
        self.shown: list[list[str]] = []
        self.outside: tuple[dict[str, str | Secret | None], str] | None = None  # environment and directory of a caller


class Task:
    """One thread of a job. `waiting` is None (ready), or one of

    ("request", step) · ("observe", number) · ("mailbox", id) · ("task", id) · ("channel", id) for an item ·
    ("room", channel id) · ("group", id) · ("leave", group id) ·
    ("items", step) of a stream · ("stream", step) for its end.
    """

    __slots__ = (
        "_waiters",
        "_waiting",
        "again",
        "age",
        "answered",
        "cancel",
        "children",
        "directory",
        "environment",
        "frames",
        "group",
        "id",
        "index",
        "is_interrupted",
    )

    def __init__(
        self,
        waiters: Waiters,
        id: str,
        *,
        group: int | None,
        index: int,
        environment: dict[str, str | Secret | None],
        directory: str,
    ) -> None:
        self._waiters = waiters
        self._waiting: tuple[str, Any] | None = None
        waiters.tasks_made += 1
        self.age = waiters.tasks_made
        self.id = id  # the path: "0", "0.2", …
        self.group = group
        self.index = index  # in its group
        self.environment = environment  # changes over the job's; never changed in place
        self.directory = directory
        self.frames: list[Frame] = []
        self.cancel = "no"  # no, requested, delivered
        self.is_interrupted = False  # a group of its frames may have a failure to raise at the next wait
        self.children = 0  # how many tasks it started, for their ids
        self.answered: Request | None = None  # the last one; a task that waits has none that matters
        self.again: int | None = None  # the step whose idempotency key its next request carries

    @property
    def waiting(self) -> tuple[str, Any] | None:
        return self._waiting

    @waiting.setter
    def waiting(self, waiting: tuple[str, Any] | None) -> None:
        if self._waiting is not None:
            self._waiters.remove(self._waiting, self)
        if waiting is not None and waiting[0] != "ended":
            self._waiters.add(waiting, self)
        self._waiting = waiting


class Waiters:
    """Which tasks of a machine wait for what, so that nobody looks at all of them when something comes.

    Not saved: it follows from the tasks, in their order. Tasks that wait for the same are woken by age.
    """

    __slots__ = ("_by_kind", "tasks_made")

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[Any, _Queue]] = {}
        self.tasks_made = 0

    def add(self, wait: tuple[str, Any], task: Task) -> None:
        by_id = self._by_kind.setdefault(wait[0], {})
        queue = by_id.get(wait[1])
        if queue is None:
            queue = by_id[wait[1]] = _Queue()
        queue.tasks[task.age] = task
        if queue.ages:
            queue.push(task.age)

    def remove(self, wait: tuple[str, Any], task: Task) -> None:
        by_id = self._by_kind.get(wait[0], {})
        queue = by_id.get(wait[1])
        if queue is not None:
            queue.tasks.pop(task.age, None)
            if not queue.tasks:
                del by_id[wait[1]]

    def of(self, kind: str, id: object) -> list[Task]:
        """The tasks that wait for something, the oldest first."""
        queue = self._by_kind.get(kind, {}).get(id)
        return [] if queue is None else [queue.tasks[age] for age in sorted(queue.tasks)]

    def oldest(self, kind: str, id: object) -> Task | None:
        """The oldest of the tasks that wait for something."""
        queue = self._by_kind.get(kind, {}).get(id)
        return None if queue is None else queue.oldest()

    def ids(self, kind: str) -> Iterable[Any]:
        """What is waited for, of a kind."""
        return self._by_kind.get(kind, {}).keys()


class _Queue:
    """The tasks that wait for one thing. `ages`: a heap of theirs and of some that wait no more, once it is needed."""

    __slots__ = ("ages", "tasks")

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}
        self.ages: list[int] = []

    def push(self, age: int) -> None:
        heappush(self.ages, age)
        if len(self.ages) > 2 * len(self.tasks) + SPARE_MAX:
            self.ages = sorted(self.tasks)

    def oldest(self) -> Task:
        if not self.ages:
            self.ages = sorted(self.tasks)
        while self.ages[0] not in self.tasks:
            heappop(self.ages)
            if not self.ages:
                self.ages = sorted(self.tasks)
        return self.tasks[self.ages[0]]


class Group:
    """Tasks that belong together. `kind`: spawn, each, within, race.

    `results` are completions by index of the child. A group whose owner waits for it is over when `running` is empty,
    nothing is left to start and its timer has been acknowledged.
    """

    __slots__ = (
        "code",
        "delivered",
        "error",
        "failed",
        "id",
        "interrupted",
        "items",
        "kind",
        "limit",
        "owner",
        "results",
        "running",
        "scope",
        "started",
        "stream",
        "timer",
        "timer_state",
        "undos",
    )

    def __init__(self, id: int, kind: str, owner: str) -> None:
        self.id = id
        self.kind = kind
        self.owner = owner  # task id
        self.running: dict[str, None] = {}  # an ordered set
        self.results: dict[int, Completion] = {}
        self.error: Completion | None = None  # the first failure of a child; not of a spawn, see `failed`
        self.failed: list[str] = []  # of a spawn: the tasks that failed, but those whose failure was raised at an await
        # What stopped the owner's wait, raised when the children are gone; of a spawn: a failure to raise in the owner.
        self.interrupted: Completion | None = None
        self.items: list[Value] = []  # of an each; the ids of the tasks that ended, of a spawn
        self.stream: int | None = None  # of an each: the step of the stream that its items come from
        self.delivered: int | None = None  # of an each whose values are handed on in order: how many were
        self.started = 0
        self.limit = 0
        self.code = -1
        self.scope: Scope | None = None
        self.timer: int | None = None  # the step of its time-out, while pending
        self.timer_state = ""  # "", running, fired, cancelled
        self.undos: list[CleanupEntry] = []


class Stream:
    """What a request answers bit by bit. `outcome`, when it has ended: ("value", v), ("error", e), ("cancelled", e)."""

    __slots__ = ("group", "is_early", "items", "outcome", "step")

    def __init__(self, step: int) -> None:
        self.step = step
        self.items: list[Value] = []  # read, and not taken yet
        self.outcome: Completion | None = None
        self.is_early = False  # the loop was left before the end
        self.group: int | None = None  # whose tasks take the items


def winner(group: Group) -> Completion | None:
    """What the task that won a race ended with, once there is one."""
    return next((completion for completion in group.results.values() if completion[0] == "value"), None)


def value_of_group(group: Group) -> Value:
    """What a group whose owner waited for it comes to, when nothing has failed."""
    if group.kind == "race":
        won = winner(group)
        assert won is not None
        return won[1]
    if group.delivered is not None:
        return None
    values = [group.results[index][1] for index in range(group.started)]
    return values[0] if group.kind == "within" else values


CLEANUP = ("defer", "undo", "finally")  # kinds of frames that run to their end whatever is asked of the task


def is_failing(completion: Completion) -> bool:
    """Whether a completion makes `undo` run: an error, a cancel, an exit with a status other than 0."""
    kind, value = completion
    return kind in ("error", "cancel") or (kind == "exit" and value != 0)
