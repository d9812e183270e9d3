"""Questions of a job that is followed: asked at our terminal, and answered through the inbox of the job.

Others may answer meanwhile, at their terminals or with `fmsh jobs answer`: the first answer counts, and the question is
taken back everywhere else. Without a terminal the user is told how to answer.
"""

from __future__ import annotations

import os

from fmsh.exchange import answer_to
from fmsh.jobs.documents import questions_of
from fmsh.render.questions import prompt_of
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.jobs.desk import Desk
    from fmsh.store.base import EventStore, Job
    from fmsh.values import Value

STDIN = 0
ANSWER_BYTES_MAX = 64 << 10
ELSEWHERE = "(answered elsewhere, or too late)\n"


class Asker:
    """Asks one question at a time. `look` is to be called again and again, with the job as it is now."""

    __slots__ = ("_asked", "_desk", "_settled")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asked: dict[str, Any] | None = None
        self._settled: set[int] = set()  # the steps of questions that are not to be asked here (again)

    @property
    def is_asking(self) -> bool:
        """Whether a question stands at the terminal."""
        return self._asked is not None

    def look(self, job: Job) -> None:
        """Asks what the job waits for now, takes the answer if one was typed, or takes the question back."""
        questions = questions_of(job) if job.state == "waiting" else []
        steps = [question.get("step") for question in questions]
        if self._asked is not None and self._asked["step"] not in steps:
            self._asked = None
            self._say("\n" + ELSEWHERE)
            return
        if self._asked is not None:
            if _has_input():
                self._read(job.id, self._asked)
            return
        for question in questions:
            if question.get("step") not in self._settled:
                self._ask(job.id, question)
                return

    def leave(self) -> None:
        """Nobody is asked any more; the cursor stands behind the question."""
        if self._asked is not None:
            self._asked = None
            self._say("\n")

    def _ask(self, job_id: int, question: dict[str, Any]) -> None:
        if "step" in question and not self._desk.is_json and _has_terminal():
            self._asked = question
            self._say(prompt_of(question))
            return
        self._settled.add(question.get("step", 0))
        self._say(how_to_answer(job_id, question))

    def _read(self, job_id: int, question: dict[str, Any]) -> None:
        if take_answer(self._desk.store, job_id, question, self._say):
            self._asked = None
            self._settled.add(question["step"])

    def _say(self, text: str) -> None:
        self._desk.stdout.flush()
        self._desk.clear()
        self._desk.stderr.write(text)
        self._desk.stderr.flush()


def how_to_answer(job_id: int, question: Mapping[str, Value]) -> str:
    """What is said where nobody can be asked."""
    return f"job {job_id} asks: {prompt_of(question).rstrip()}  (answer with `fmsh jobs answer {job_id} VALUE`)\n"


def take_answer(store: EventStore, job_id: int, question: Mapping[str, Value], say: Callable[[str], None]) -> bool:
    """Takes what was typed on standard input for a question; False: it was no answer, and the question stands again."""
    from fmsh.builtins.answers import read_answer

    data = os.read(STDIN, ANSWER_BYTES_MAX)
    if not data:
        say(f"\nanswer later with `fmsh jobs answer {job_id} VALUE`\n")
        return True
    try:
        value = read_answer(data.decode("utf-8", "surrogateescape").rstrip("\r\n"), question)
    except Raised as problem:
        say(f"{problem.error.message}\n{prompt_of(question)}")
        return False
    if not answer_to(store, job_id, int(str(question["step"])), value):
        say(ELSEWHERE)
    return True


def _has_terminal() -> bool:
    """Whether somebody can read a question and type an answer here."""
    try:
        return os.isatty(STDIN) and os.isatty(2) and os.tcgetpgrp(STDIN) == os.getpgrp()
    except OSError:
        return False


def _has_input() -> bool:
    import select

    return _has_terminal() and bool(select.select([STDIN], [], [], 0)[0])
