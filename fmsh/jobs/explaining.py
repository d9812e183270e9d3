"""`fmsh jobs why N`: one paragraph on what a job waits for or ended with, what ran again and why, and what it needs.

Each sentence is a reason with a kind of its own, so that programs need not read the text:
state · step · wait · again · handover · needs.
"""

from __future__ import annotations

import time

from fmsh.errors import StoreCorrupt
from fmsh.jobs.documents import error_of, is_damaged, move_text, places_of, whole_document
from fmsh.jobs.finding import find_job
from fmsh.jobs.histories import History, read_history
from fmsh.render.cells import cut, visible
from fmsh.render.jobs import holders_text
from fmsh.render.times import local_time, span_text
from fmsh.render.traces import milliseconds
from fmsh.render.values import cell_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from fmsh.jobs.desk import Desk
    from fmsh.jobs.documents import Place
    from fmsh.jobs.histories import Holder, Step
    from fmsh.store.base import Job
    from fmsh.values import ErrorValue, Value

    Reason = dict[str, Value]

EVENTS_MAX = 10_000  # the last ones, of which the steps are told: some 50 ms
STEPS_TOLD_MAX = 4
HANDOVERS_TOLD_MAX = 3
WAITS_TOLD_MAX = 4
LABEL_CELLS_MAX = 60
LINE_CELLS_MAX = 100  # a longer line is hard to read


def why(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs why N`"""
    job = find_job(desk.store, arguments.jobs[0])
    damage: StoreCorrupt | None = None
    try:
        history = read_history(desk.store, job, events_max=EVENTS_MAX)
    except StoreCorrupt as problem:
        history, damage = History(1), problem
    reasons = Explanation(desk, job, history, damage).reasons()
    text = " ".join(reason["text"] for reason in reasons)
    if desk.is_json:
        desk.write_document({"job": job.id, "text": text, "reasons": reasons})
    else:
        from textwrap import fill

        cells = desk.width
        wrapped = text if cells > 10_000 else fill(text, max(20, min(cells, LINE_CELLS_MAX)), break_on_hyphens=False)
        desk.say(wrapped + "\n")
    if damage is not None:
        raise damage
    return 0


class Explanation:
    """The reasons of one job, as it is now."""

    def __init__(self, desk: Desk, job: Job, history: History, damage: StoreCorrupt | None) -> None:
        self._desk = desk
        self._job = job
        self._history = history
        self._damage = damage
        self._error = error_of(job)
        self._now_ms = time.time_ns() // 10**6
        self._place: Place = places_of(desk, job)

    def reasons(self) -> list[Reason]:
        """All there is to say, in order."""
        if self._damage is not None or is_damaged(self._job):
            return self._of_damage()
        of_state = {
            "running": self._of_running,
            "waiting": self._of_waiting,
            "paused": self._of_paused,
            "parked": self._of_parked,
            "succeeded": self._of_succeeded,
            "failed": self._of_failed,
            "cancelled": self._of_cancelled,
            "moved": self._of_moved,
        }
        state = of_state[self._job.state]()
        needs = self._needs()
        return [*state, *self._again(), *self._handovers(), *needs]

    # -- what state it is in

    def _of_damage(self) -> list[Reason]:
        said = self._damage.message if self._damage is not None else self._error.message if self._error else ""
        number = self._job.id
        text = f"Job {number} cannot go on: its history is damaged ({said}), and fmsh does not guess what happened."
        needs = f"Restore a backup, or give it up: `fmsh jobs cancel {number}`; `fmsh doctor` says more."
        return [_reason("state", text), _reason("needs", needs)]

    def _of_running(self) -> list[Reason]:
        number, owner_id = self._job.id, self._job.owner_id
        owner = next((each for each in self._desk.store.owners() if each.id == owner_id), None)
        if owner is not None and self._desk.store.is_alive(owner.id):
            text = f"Job {number} is running in {_called(owner.kind)} (process {owner.pid})."
        elif owner is not None:
            who = f"process {owner.pid}, which ran it, has died"
            text = f"Job {number} is in the middle of its work, but nobody runs it now: {who}."
        else:
            text = f"Job {number} has work to do, but nobody runs it."
        pending = [step for step in self._history.steps.values() if not step.is_over]
        if not pending:
            text += f" It computes, and asked for nothing since {self._at(self._history.last_at_ms)}."
        return [_reason("state", text), *self._steps_in_progress(pending)]

    def _of_waiting(self) -> list[Reason]:
        waits = whole_document(self._desk.store, self._job)["waiting_for"]
        head = f"Job {self._job.id} waits"
        if not waits:
            return [_reason("state", f"{head} for something that happens outside of it.")]
        told = [
            self._wait(wait, f"{head} for" if place == 0 else "It also waits for") for place, wait in enumerate(waits)
        ]
        if len(told) > WAITS_TOLD_MAX:
            told = [*told[:WAITS_TOLD_MAX], _reason("wait", f"It waits for {len(told) - WAITS_TOLD_MAX} more things.")]
        return told

    def _of_paused(self) -> list[Reason]:
        held = [hold for hold in self._history.holds if hold.until_ms is None]
        since = f" since {self._at(held[-1].at_ms)}" if held else ""
        rest = "somebody asked for that, and it starts nothing new until it is resumed"
        text = f"Job {self._job.id} is paused{since}: {rest}."
        return [_reason("state", text), *self._steps_in_progress(self._pending())]

    def _of_parked(self) -> list[Reason]:
        error = self._error
        held = [hold for hold in self._history.holds if hold.until_ms is None]
        since = f" since {self._at(held[-1].at_ms)}" if held else ""
        text = f"Job {self._job.id} is parked{since}, because it needs a person: {_said(error)}."
        step = self._history.steps.get(held[-1].step or 0) if held else None
        told = [_reason("state", text, kind_of_error=None if error is None else error.kind)]
        if step is not None:
            is_known = step.is_over  # a held job, which stops where it fails
            reason = "its outcome fails the program" if is_known else "nobody can know whether it was done"
            rest = f"{reason}, and nothing was undone yet."
            told.append(self._of_step("step", step, f"This is about {self._named(step)}: {rest}"))
        return told

    def _of_succeeded(self) -> list[Reason]:
        value = whole_document(self._desk.store, self._job)["value"]
        gave = "" if value is None else f", and gave {cut(cell_text(value), LABEL_CELLS_MAX)}"
        return [_reason("state", f"Job {self._job.id} succeeded after {self._took()}, with {self._steps()}{gave}.")]

    def _of_failed(self) -> list[Reason]:
        error, job = self._error, self._job
        if error is None:
            status = job.exit_status
            return [_reason("state", f"Job {job.id} ended itself with `exit {status}` after {self._took()}.")]
        where = error.fields.get("where")
        place = f" at {_where(where)}" if where else ""
        trace = error.fields.get("trace") or []
        within = f" in `{visible(str(trace[0].get('function')))}`" if trace else ""
        text = f"Job {job.id} failed after {self._took()}{place}{within}: {_said(error)}."
        told = [_reason("state", text, where=where, kind_of_error=error.kind)]
        if not self._is_of_step(error):
            return told
        failed = next((step for step in reversed(self._history.steps.values()) if step.last.error == error), None)
        if failed is not None:
            told.append(self._of_step("step", failed, f"This was the outcome of {self._named(failed)}."))
        return told

    def _of_cancelled(self) -> list[Reason]:
        is_plain = self._error is None or self._error.message in ("the job was cancelled", "")
        reason = "" if is_plain else f": {_said(self._error)}"
        ended = "" if self._job.ended_at_ms is None else f" at {self._at(self._job.ended_at_ms)}"
        return [_reason("state", f"Job {self._job.id} was cancelled{ended}, after {self._took()}{reason}.")]

    def _of_moved(self) -> list[Reason]:
        text = move_text(self._job)
        return [_reason("state", text[0].upper() + text[1:] + ".")]

    # -- steps

    def _pending(self) -> list[Step]:
        return [step for step in self._history.steps.values() if not step.is_over]

    def _steps_in_progress(self, steps: list[Step]) -> list[Reason]:
        told = []
        for step in steps[:STEPS_TOLD_MAX]:
            if step.last.started_at_ms > self._now_ms:
                text = f"It tries {self._named(step)} again at {self._at(step.last.started_at_ms)}."
            else:
                text = f"It does {self._named(step)}, since {self._at(step.last.started_at_ms)}."
            told.append(self._of_step("step", step, text))
        if len(steps) > STEPS_TOLD_MAX:
            told.append(_reason("step", f"It does {len(steps) - STEPS_TOLD_MAX} more steps."))
        return told

    def _is_of_step(self, error: ErrorValue) -> bool:
        return any(step.last.error == error for step in self._history.steps.values())

    def _wait(self, wait: Reason, head: str) -> Reason:
        since, until = milliseconds(wait.get("since")), milliseconds(wait.get("until"))
        kind, label = wait["kind"], wait.get("label") or ""
        what = _WAITS.get(kind, "{kind} {label}").format(kind=kind, label=visible(str(label)))
        if kind == "timer":
            what = self._timer(wait)
        if wait.get("held_by") is not None:
            what += f", while {self._holders(wait)}"
        when = f" until {self._at(until)}" if until is not None else ""
        begun = f", since {self._at(since)}" if since is not None else ""
        place = f" at {_where(wait['where'])}" if wait.get("where") else ""
        return _reason("wait", f"{head} {what}{when}{place}{begun}.", waits_for=kind, where=wait.get("where"))

    def _holders(self, wait: Reason) -> str:
        """Who has a lock or a place that is waited for; in which state, if it is one and does not run."""
        text, held_by = holders_text(wait["held_by"], wait["behind"]), wait["held_by"]
        holder = self._desk.store.job(held_by[0]) if len(held_by) == 1 else None
        if holder is None or holder.state in ("running", "waiting"):
            return text
        return text.replace(f"job {holder.id} ", f"job {holder.id}, which is {holder.state}, ", 1)

    def _timer(self, wait: Reason) -> str:
        """What a wait by time is: a sleep, or the pause before a step is tried again."""
        for step in self._pending():
            if self._place_of(step) != wait.get("where"):
                continue
            if step.connector == "timer":
                return f"`{cut(visible(step.label), LABEL_CELLS_MAX)}`"
            if len(step.attempts) > 1:
                return f"the time to try {self._named(step, has_place=False)} again"
        return "its time"

    def _again(self) -> list[Reason]:
        """The steps that were tried more than once, the last ones, with the reasons."""
        again = [step for step in self._history.steps.values() if len(step.attempts) > 1]
        told = [self._of_step("again", step, self._attempts(step)) for step in again[-STEPS_TOLD_MAX:]]
        if (untold := len(again) - STEPS_TOLD_MAX) > 0:
            told.append(_reason("again", f"{untold} earlier step{'s' * (untold > 1)} ran more than once, too."))
        return told

    def _attempts(self, step: Step) -> str:
        failures: list[str] = []
        for attempt, following in zip(step.attempts, step.attempts[1:], strict=False):
            if following.is_takeover:
                key = ", with the same Idempotency-Key" if step.label.startswith(("POST ", "PATCH ")) else ""
                at = self._at(following.started_at_ms)
                cause = "whoever had begun it was gone before its outcome was recorded"
                reason = f"it was begun again at {at}{key}, because {cause}"
            else:
                reason = visible(str(attempt.outcome).partition("\n")[0])
            if reason not in failures:
                failures.append(reason)
        last = step.last.outcome if step.is_over else None
        if not step.is_over:
            is_ahead = step.last.started_at_ms > self._now_ms
            end = f"the next try is at {self._at(step.last.started_at_ms)}" if is_ahead else "the last try still runs"
        else:
            ended = visible(str(last).partition("\n")[0])
            end = "the last one failed too" if ended in failures else f"the last one ended with {ended}"
        return (
            f"{self._named(step, is_first=True)} was tried {len(step.attempts)} times ({'; '.join(failures)}); {end}."
        )

    def _handovers(self) -> list[Reason]:
        told = [self._handover(holder) for holder in self._history.holders if holder.reason != "started"]
        if len(told) > HANDOVERS_TOLD_MAX:
            count = len(told) - HANDOVERS_TOLD_MAX
            earlier = _reason("handover", f"It had changed hands {count} times before that.")
            told = [*told[-HANDOVERS_TOLD_MAX:], earlier]
        return told

    def _handover(self, holder: Holder) -> Reason:
        at, who = self._at(holder.at_ms), _called(holder.kind)
        pid = f" (process {holder.pid})" if holder.pid is not None else ""
        text = {
            "takeover": f"At {at} {who}{pid} took it over from a process that had died or stood still.",
            "detached": f"At {at} it was handed over to {who}{pid}.",
            "restart": f"At {at} {who}{pid} went on with it, after the one before had ended.",
        }.get(holder.reason, f"At {at} {who}{pid} went on with it.")
        return _reason("handover", text, reason=holder.reason, owner=holder.kind, pid=holder.pid)

    # -- what it needs

    def _needs(self) -> list[Reason]:
        number, state, error = self._job.id, self._job.state, self._error
        text = ""
        if state == "paused":
            text = f"`fmsh jobs resume {number}` lets it go on."
        elif state == "parked" and error is not None and error.kind == "undo":
            text = f"Undo it by hand; then `fmsh jobs cancel {number}` ends the job as it had ended."
        elif state == "parked" and error is not None and error.kind == "internal":
            text = f"`fmsh jobs retry {number}` tries to go on, `fmsh jobs cancel {number}` ends it."
        elif state == "parked":
            is_at_step = any(hold.step is not None for hold in self._history.holds if hold.until_ms is None)
            answer = f", `fmsh jobs answer {number} VALUE` says what its outcome was" if is_at_step else ""
            again = f"`fmsh jobs retry {number}` does {'the step' if is_at_step else 'what failed'} again"
            text = f"{again}{answer}, `fmsh jobs cancel {number}` undoes and ends."
        elif state in ("running", "waiting"):
            text = self._needs_of_going_on()
        elif state == "failed":
            text = f"`fmsh jobs inspect {number}` shows where it stood."
        return [_reason("needs", text)] if text else []

    def _needs_of_going_on(self) -> str:
        number = self._job.id
        if self._desk.store.inbox(number, kind="cancel", limit=1):
            return "It was asked to cancel, and will as soon as whoever runs it looks."
        kinds = {wait["kind"] for wait in whole_document(self._desk.store, self._job)["waiting_for"]}
        if "person" in kinds:
            return f"`fmsh jobs answer {number} VALUE` answers."
        if "callback" in kinds:
            return "It goes on when its address is called."
        if kinds == {"timer"}:
            return "It goes on by itself then, if the daemon or another fmsh runs."
        is_held = self._job.owner_id is not None and self._desk.store.is_alive(self._job.owner_id)
        return "" if is_held or self._job.state == "waiting" else "`fmsh daemon start` starts what goes on with it."

    # -- words

    def _named(self, step: Step, *, is_first: bool = False, has_place: bool = True) -> str:
        place = self._place_of(step) if has_place else None
        at = f" ({_where(place)})" if place else ""
        word = "Step" if is_first else "step"
        return f"{word} {step.number}, `{cut(visible(step.label), LABEL_CELLS_MAX)}`{at}"

    def _place_of(self, step: Step) -> Value:
        return None if step.node is None else self._place(step.node)

    def _of_step(self, kind: str, step: Step, text: str) -> Reason:
        return _reason(kind, text, step=step.number, where=self._place_of(step), attempts=len(step.attempts))

    def _at(self, at_ms: int) -> str:
        away = self._now_ms - at_ms
        return (
            f"{local_time(at_ms, self._now_ms)} ({span_text(away)} ago)"
            if away >= 0
            else (f"{local_time(at_ms, self._now_ms)} (in {span_text(-away)})")
        )

    def _took(self) -> str:
        ended = self._job.ended_at_ms or self._now_ms
        return span_text(ended - self._job.created_at_ms)

    def _steps(self) -> str:
        return f"{self._job.steps} step{'' if self._job.steps == 1 else 's'}"


_WAITS = {
    "callback": "a call of the address of callback {label}",
    "person": "a person to answer `{label}`",
    "job": "job {label} to end",
    "channel": "an item in channel {label}",
    "room": "room in channel {label}",
    "topic": "an event of the topic {label}",
    "inbox": "a signal {label}",
    "lock": "the lock {label}",
    "limit": "its turn under the limit {label}",
    "function": "an answer of the function {label}",
}


def _reason(kind: str, text: str, **fields: Value) -> Reason:
    return {"kind": kind, "text": text} | fields


def _called(kind: str | None) -> str:
    return {"daemon": "the daemon", "shell": "a shell"}.get(kind or "", "another process")


def _said(error: ErrorValue | None) -> str:
    if error is None:
        return "no reason was given"
    return visible(error.message.partition("\n")[0]).rstrip(".") or visible(error.kind)


def _where(where: Value) -> str:
    return visible(f"{where['file']}:{where['line']}:{where['column']}")
