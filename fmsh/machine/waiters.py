"""Which tasks of a machine wait for what, so that nobody looks at all of them when something comes.

Not saved: it follows from the tasks, in their order. Tasks that wait for the same are woken by age.
"""

from __future__ import annotations

from _heapq import heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from fmsh.machine.state import Task

    Wait = tuple[str, Any]

SPARE_MAX = 64  # entries of a heap that name nobody any more


class Waiters:
    __slots__ = ("_by_kind", "tasks_made")

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[Any, _Queue]] = {}
        self.tasks_made = 0

    def add(self, wait: Wait, task: Task) -> None:
        by_id = self._by_kind.setdefault(wait[0], {})
        queue = by_id.get(wait[1])
        if queue is None:
            queue = by_id[wait[1]] = _Queue()
        queue.tasks[task.age] = task
        if queue.ages:
            queue.push(task.age)

    def remove(self, wait: Wait, task: Task) -> None:
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
