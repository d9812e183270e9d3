"""Programs that nobody wrote: those of the transcripts with words exchanged, dropped and doubled.

    python -m tests.machine.mutations FIRST COUNT

A program may be refused, fail or wait for ever; it must never raise anything out of the compiler or the machine.
"""

from __future__ import annotations

import os
import random
import re
import sys
import traceback
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fmsh.assembly import check, make_program, observe_plainly
from fmsh.errors import SourceError
from fmsh.machine import streams
from fmsh.machine.effects import Observe, Request
from fmsh.machine.events import InboxTaken, ItemsRead, Observed, RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source
from fmsh.values import Duration, Handle, error_value

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "transcripts")
WORD = re.compile(r"\s+|\w+|\$\w+|[^\w\s]")
EXTRA = (
    "1", "2.5", "'a'", "$x", "{ 1 }", "[1, 2]", "{a: 1}", "null", "true", "5s", "{ |x| $x }", "|", "||", "&&", ";",
    "\n", "(", ")", "await", "spawn", "each", "--parallel", "emit", "return", "break", "fail", "exit", "..", "?", ".a",
    "$it", "$error", "$in", "$env", "not", "in", "==", "+", "if", "try", "undo", "defer", "call", "within", "print",
    "sh", "1..3", "let y =", "$y", "result", "once", "cd", "callback", "match", "&", "!", "=", "+=", "...",
)  # fmt: skip
INSTRUCTIONS_MAX = 3000
EVENTS_MAX = 60


@cache
def _programs() -> list[str]:
    found = []
    for name in sorted(os.listdir(HERE)):
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            for case in re.split(r"^=== .*\n", file.read(), flags=re.MULTILINE)[1:]:
                found.append(re.split(r"^--- ", case, maxsplit=1, flags=re.MULTILINE)[0])
    return found


def mutated(seed: int) -> str:
    """Makes a program from those of the transcripts."""
    draw = random.Random(seed)
    words = WORD.findall(draw.choice(_programs()))
    others = WORD.findall(draw.choice(_programs()))
    for _ in range(draw.choice([1, 1, 2, 3, 5])):
        at = draw.randrange(len(words))
        kind = draw.randrange(5)
        if kind == 0:
            words[at] = draw.choice(EXTRA)
        elif kind == 1:
            words.insert(at, draw.choice(EXTRA) + " ")
        elif kind == 2 and len(words) > 1:
            del words[at]
        elif kind == 3:
            other = draw.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        else:
            start = draw.randrange(len(others))
            words[at:at] = ["\n", *others[start : start + draw.randint(1, 30)]]
    return "".join(words)


def run(text: str, seed: int) -> str:
    """Compiles and runs a program; says how far it came. Raises: whatever is a fault of ours."""
    source = Source("mutated.fmsh", text)
    try:
        check(source)
        _stored, program = make_program(source)
    except SourceError:
        return "refused"
    draw = random.Random(seed)
    machine = Machine(program, Facts(1, None, None, ["a", "b"], "/", "UTC"), {"PATH": "/bin"})
    pending: list[Any] = []
    for _ in range(EVENTS_MAX):
        if not machine.run(INSTRUCTIONS_MAX):
            return "long"
        pending += [effect for effect in machine.take_effects() if isinstance(effect, Request | Observe)]
        if machine.is_ended:
            return "ended"
        if not machine.observing and draw.random() < 0.3:
            machine = Machine.restore(program, {"PATH": "/bin"}, machine.snapshot())
        observes = [effect for effect in pending if isinstance(effect, Observe)]
        if observes:
            pending.remove(observes[0])
            machine.feed(Observed(observes[0].number, _observed(observes[0], draw)))
        elif streams.hungry(machine) and draw.random() < 0.5:
            machine.feed(ItemsRead(streams.hungry(machine)[0], draw.choice([["a"], ["1", "2"], [{"a": 1}]]), {"at": 1}))
        elif pending:
            machine.feed(_completed(pending.pop(draw.randrange(len(pending))), draw))
        else:
            machine.feed(InboxTaken("cancel", {}))
    return "waits"


def _observed(observe: Observe, draw: random.Random) -> Any:
    answers: dict[str, Any] = {
        "now": datetime(2026, 1, 1, tzinfo=UTC), "random": 4, "uuid": "u", "home": "/h", "directory": "/d",
        "glob": ["a.txt", "b.txt"], "read": "text\n", "writable": None,
        "absolute": "/d/a", "exists": True, "program": "/bin/sh",
    }  # fmt: skip
    if draw.random() < 0.1:
        return error_value("path", "it is not there")
    known = observe.operation in answers
    return answers[observe.operation] if known else observe_plainly(observe.operation, observe.arguments)


def _completed(request: Request, draw: random.Random) -> RequestCompleted:
    if draw.random() < 0.1:
        return RequestCompleted(request.step, error=error_value("network", "it failed"))
    value: Any = None
    if request.connector == "process" or request.arguments.get("output") in ("fold", "stream"):
        statuses = [draw.choice([0, 0, 0, 1, 137]) for _ in request.arguments.get("stages", [])]
        output = draw.choice(["a\nb\n", '{"a": 1}', ""]) if request.arguments["output"] == "capture" else None
        value = {"statuses": statuses, "output": output, "stderr": ""}
        if request.arguments["output"] == "fold":
            value["value"] = draw.choice([3, ["a", "b"], None, "a"])
    elif request.connector == "callback":
        value = Handle("callback", str(request.step), {"id": str(request.step), "url": "http://x"})
    elif request.connector == "job":
        value = Handle("job", "2", {"id": 2})
    elif request.operation == "claim":
        fields = {"id": str(request.step), "label": "a", "is_granted": draw.random() < 0.7}
        value = Handle(request.connector, str(request.step), fields)
    elif request.operation == "reserve":
        value = draw.choice([None, datetime(2026, 1, 1, tzinfo=UTC)])
    elif request.connector == "timer":
        known = request.arguments.keys() <= {"duration", "until"}
        assert known and isinstance(request.arguments.get("duration", Duration(0)), Duration)
    else:
        value = draw.choice([1, "text", {"a": [1, 2]}, None])
    return RequestCompleted(request.step, value)


def failures(first: int, count: int) -> dict[int, str]:
    """Runs many; gives what was raised, by seed."""
    found: dict[int, str] = {}
    for seed in range(first, first + count):
        try:
            run(mutated(seed), seed)
        except Exception:
            found[seed] = traceback.format_exc()
    return found


def main(arguments: list[str]) -> int:
    first, count = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 1
    found = failures(first, count)
    for seed, report in found.items():
        print(f"---- {seed}\n{mutated(seed) if count == 1 else ''}\n" + "\n".join(report.splitlines()[-7:]))
    print(f"{len(found)} of {count} seeds fail")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
