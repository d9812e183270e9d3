"""Questions of the job in the foreground, asked at the terminal. They can be answered elsewhere meanwhile.

A question is asked when the job waits for its answer, one at a time, and is taken back when the job waits no longer:
it was answered by `fmsh jobs answer`, or its time is over. Without a terminal the user is told how to answer.
"""

from __future__ import annotations

import os

from fmsh.jobs.asking import ANSWER_BYTES_MAX, ELSEWHERE, STDIN, how_to_answer, take_answer
from fmsh.render.questions import prompt_of
from fmsh.shell import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.engine.engine import Engine
    from fmsh.values import Value


class Asker:
    """`say(text)` writes for the person. `look` is to be called after each iteration of the engine."""

    def __init__(self, engine: Engine, say: Callable[[str], None]) -> None:
        self._engine = engine
        self._say = say
        self._job_id = 0  # of the job that may have a question; 0: none
        self._asked: tuple[int, Mapping[str, Value]] | None = None  # the id of the question that is open here
        self._told: set[int] = set()
        self._is_watching = False

    @property
    def is_asking(self) -> bool:
        """Whether a question stands at the terminal."""
        return self._asked is not None

    def expect(self, job_id: int) -> None:
        """A job has a question: it will wait for the answer as soon as that is recorded."""
        self._job_id = job_id

    def look(self) -> None:
        """Asks what the job waits for now, or takes the question back."""
        if self._job_id == 0:
            return
        question = self._question()
        if self._asked is not None and (question is None or question[0] != self._asked[0]):
            self._asked = None
            self._say("\n" + ELSEWHERE)
        if question is None:
            self._rest()
        elif self._asked is None and question[0] not in self._told:
            self._ask(*question)

    def leave(self) -> None:
        """The job is not in the foreground any more."""
        if self._asked is not None:  # the cursor stands behind the question
            self._say("\n")
        self._job_id, self._asked = 0, None
        self._rest()

    def _question(self) -> tuple[int, Mapping[str, Value]] | None:
        worker = self._engine.workers.get(self._job_id)
        if worker is None or worker.is_dropped or worker.is_held or worker.terminals:
            return None
        for wait in worker.machine.waits():
            if wait.kind == "person":
                return int(str(wait.about["step"])), wait.about
        return None

    def _ask(self, id: int, question: Mapping[str, Value]) -> None:
        if not (os.isatty(STDIN) and terminal.owns_terminal()):
            self._told.add(id)
            self._say(how_to_answer(self._job_id, question))
            return
        self._asked = (id, question)
        self._say(prompt_of(question))
        if not self._is_watching:
            self._is_watching = True
            self._engine.loop.watch(STDIN, self._read)

    def _read(self) -> None:
        if self._asked is None:  # typed ahead of a question that was taken back
            os.read(STDIN, ANSWER_BYTES_MAX)
            return
        id, question = self._asked
        if take_answer(self._engine.store, self._job_id, question, self._say):
            self._asked = None
            self._told.add(id)
            self._unwatch()
            self._engine.look()

    def _rest(self) -> None:
        self._told.clear()
        self._unwatch()

    def _unwatch(self) -> None:
        if self._is_watching:
            self._is_watching = False
            self._engine.loop.unwatch(STDIN)
