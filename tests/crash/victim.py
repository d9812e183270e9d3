"""fmsh, killed with SIGKILL at the n-th boundary of its run: `python -m tests.crash.victim LOG KILL_AT ARGUMENT…`.

A boundary is the moment before or after a write to the store, and before or after an attempt is started or its outcome
taken. The name of each that was passed is added to LOG; with KILL_AT 0 the run goes on to its end.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fmsh import assembly, cli
from fmsh.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from fmsh.connectors.base import Attempt, AttemptId, Connector, Outcome, Post

WRITES = ("create_job", "commit", "acquire", "deliver", "deliver_callback", "open_callback", "claim")


class Boundaries:
    def __init__(self, log: str, kill_at: int) -> None:
        self._log = log  # opened for each line: the daemon closes what it has inherited
        self._kill_at = kill_at
        self._passed = 0
        self._lock = threading.Lock()

    def cross(self, name: str) -> None:
        with self._lock:
            self._passed += 1
            with open(self._log, "a", encoding="utf-8") as log:
                log.write(f"{name}\n")
            if self._passed == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def crossing(*arguments: Any, **named: Any) -> Any:
            self.cross(f"before {name}")
            answer = function(*arguments, **named)
            self.cross(f"after {name}")
            return answer

        return crossing


class Watched:
    """A connector whose attempts begin and end at boundaries."""

    def __init__(self, name: str, connector: Connector, boundaries: Boundaries) -> None:
        self._name = name
        self._connector = connector
        self._boundaries = boundaries

    def start(self, attempt: Attempt, post: Post) -> None:
        def told(id: AttemptId, outcome: Outcome) -> None:
            self._boundaries.cross(f"before outcome of {self._name}")
            post(id, outcome)

        self._boundaries.cross(f"before start of {self._name}")
        self._connector.start(attempt, told)
        self._boundaries.cross(f"after start of {self._name}")

    def cancel(self, id: AttemptId) -> None:
        self._connector.cancel(id)

    def read(self, id: AttemptId, position: Any) -> None:
        self._boundaries.cross(f"before reading of {self._name}")
        connector: Any = self._connector
        connector.read(id, position)

    def forget(self, id: AttemptId) -> None:
        connector: Any = self._connector
        connector.forget(id)

    def close(self) -> None:
        self._connector.close()


def main(log: str, kill_at: str, *arguments: str) -> int:
    boundaries = Boundaries(log, int(kill_at))
    for name in WRITES:
        setattr(SqliteStore, name, boundaries.around(name, getattr(SqliteStore, name)))
    original = assembly.Assembly.__init__

    def watched(self: assembly.Assembly, *given: Any, **named: Any) -> None:
        named["wrap"] = lambda name, connector: Watched(name, connector, boundaries)
        original(self, *given, **named)

    assembly.Assembly.__init__ = watched  # type: ignore[method-assign]
    return cli.run(list(arguments))


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
