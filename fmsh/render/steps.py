"""The account of each step as it happens, for `--verbose`: one line when it starts, one when it has its outcome."""

from __future__ import annotations

import time

from fmsh.connectors.base import Cancelled, Done, Items
from fmsh.render.cells import visible
from fmsh.render.timings import timings_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.connectors.base import Attempt, AttemptId, Connector, Outcome, Post
    from fmsh.values import Value

LABEL_CHARACTERS_MAX = 100


class Narrated:
    """A connector whose attempts are told of. It changes nothing about them."""

    def __init__(self, name: str, connector: Connector, say: Callable[[str], object]) -> None:
        self._name = name
        self._connector = connector
        self._say = say

    def start(self, attempt: Attempt, post: Post) -> None:
        label = describe(self._name, attempt.operation, attempt.arguments)
        again = f" (attempt {attempt.id.attempt})" if attempt.id.attempt > 1 else ""
        self._say(f"  step {attempt.id.step}  {label}{again}\n")
        begun = time.monotonic()

        def told(id: AttemptId, outcome: Outcome | Items) -> None:
            if not isinstance(outcome, Items):
                elapsed = _elapsed(time.monotonic() - begun)
                timings = timings_text(getattr(outcome, "timings", None))
                told_of = f" ({timings})" if timings else ""
                self._say(f"  step {id.step}  {_result(self._name, outcome)} after {elapsed}{told_of}\n")
            post(id, outcome)

        self._connector.start(attempt, told)

    def cancel(self, id: AttemptId) -> None:
        self._connector.cancel(id)

    def read(self, id: AttemptId, position: Value) -> None:
        connector: Any = self._connector
        connector.read(id, position)

    def forget(self, id: AttemptId) -> None:
        connector: Any = self._connector
        connector.forget(id)

    def settled(self, id: AttemptId, job_uid: str, arguments: Mapping[str, Value], outcome: Value) -> None:
        settle = getattr(self._connector, "settled", None)
        if settle is not None:
            settle(id, job_uid, arguments, outcome)

    def close(self) -> None:
        self._connector.close()


def describe(connector: str, operation: str, arguments: Mapping[str, Value]) -> str:
    """Says in a few words what is asked of the world."""
    if connector == "http":
        text = f"{arguments['method']} {arguments['url']}"
    elif connector == "process":
        text = " | ".join(" ".join(map(str, stage["argv"])) for stage in arguments["stages"])
    elif connector == "timer":
        text = f"sleep {arguments.get('duration') or arguments.get('until')}"
    elif connector == "file":
        text = f"{'append to' if arguments.get('append') else operation} {arguments['path']}"
    elif connector == "follow":
        text = f"follow {arguments['path']}"
    elif connector == "times":
        schedule = arguments["schedule"]
        text = f"every {schedule['every']}" if "every" in schedule else f"cron {schedule['cron']}"
    elif connector in ("lock", "limit"):
        text = f"{connector} {arguments['name']}"
    else:
        text = f"{connector} {operation}"
    text = visible(text)
    return text if len(text) <= LABEL_CHARACTERS_MAX else text[: LABEL_CHARACTERS_MAX - 1] + "…"


def _result(name: str, outcome: Outcome) -> str:
    if isinstance(outcome, Done):
        statuses = outcome.value["statuses"] if name == "process" else [0]
        return "→ done" if not any(statuses) else f"→ status {statuses[-1]}"
    if isinstance(outcome, Cancelled):
        return "→ cancelled"
    text = visible(outcome.error.message.partition("\n")[0])
    return f"→ {text}" + (", to be tried again" if outcome.should_retry else "")


def _elapsed(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
