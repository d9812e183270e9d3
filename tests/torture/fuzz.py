"""Command lines that nobody would type, and texts that would do something to a terminal.

The command lines run in processes forked after the imports, in an empty directory, without programs to find (`PATH` is
empty) and without a daemon: whatever they say can only touch the store of the trial.
"""

from __future__ import annotations

import re
from collections import Counter
from random import Random

from fmsh.errors import Diagnostic
from fmsh.render import cells, diagnostics, errors, jobs, steps, tables, values
from fmsh.spans import Source
from fmsh.values import Duration, ErrorValue, Secret, SecretReference, error_value
from tests.cli.shell import Shell
from tests.torture.processes import Zygote
from tests.torture.rows import Counts, Row, Trial, Verdict

STATUSES = {0, 1, 2, 75, 126, 127, 130}
OPTIONS = """
-c -d --detach --key --name --tag --json --check --plan -v --verbose --version --help -h -V -- - -x --nope
--key= --name=x --tag=a=b --tag=b --limit --state --all --timeout --step --follow --older-than 1s 5 0 -1
99999999999999999999 1 2 3 last %1 %last %x name k jobs list show attach wait output log cancel pause resume
retry answer rm gc daemon start stop status help completion bash zsh fish config get set path secret list a.fmsh
b.fmsh nothere.fmsh . .. /nothere running odd
""".split()  # noqa: SIM905 - words in lines read better than a column of strings
WORDS = [
    *"""
let x = 1 + ; | echo $x $(echo a) { } ( ) [ ] if true else while for i in 1..3 match try catch e def f return
break "text $x" 'raw' null 5s 1KB .a ?? .. <<< == =~ and not undo defer once { |x| $x } { a: 1 } each where
sort-by count get from json to lines first exit 3 fail now random sleep 0ms callback await nosuchcommand && || &
! # param p: int use ''' \\ é 日 ...
""".split(),  # noqa: SIM905 - words in lines read better than a column of strings
    "\n", "\t", "\u202e", "\x1b[31m",
]  # fmt: skip
SOUND = """echo "a $(1 + 2)" | lines | count
let xs = [1, 2, 3]; $xs | each { $it * 2 } | where { $it > 2 }
try { fail "no" } catch e { echo $e.message } finally { print done }
def f(n: int = 3, --loud) { if $loud { "LOUD $n" } else { $n } }; f 5 --loud
match 5 { 1 | 2 => { a } $n if $n > 4 => { "big $n" } _ => { null } }
for i in 1..5 { if $i == 3 { break }; print $i }; parallel { 1 } { 2 }
{a: 1, b: [true, null]} | to json | from json | get b
let {a, ...rest} = {a: 1, c: "x"}; $rest.c | str upper; sleep 1ms; exit 3""".splitlines()
HOSTILE = (
    "\x1b[2J", "\x1b]0;title\x07", "\x1b]52;c;aGk=\x07", "\x9b31m", "\x90q\x9c", "\x07", "\x08", "\x7f", "\x00", "\r",
    "\n", "\t", "\x1b", "\u202e", "\u2066", "\u200b", "\udc9b", "\udcff", "\ud800", "é", "日本", "👩\u200d💻", "\u0301",
    "a", " ", '"', "\\", "$", "{", "\u2028", "\ufeff", "\U000e0041",
)  # fmt: skip
OWN_STYLE = re.compile(r"\x1b\[[0-9;]*m")
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\u2029\ud800-\udfff]")


# ---- Command lines


def arguments(trial: Trial) -> Verdict:
    """Runs `count` command lines: each must end, with a status of the table and without a traceback."""
    shell = Shell(trial.directory)
    zygote = Zygote(
        trial.directory, shell.environment | {"FMSH_NO_DAEMON": "1", "PATH": "/nothing", "TMPDIR": "/nothing"}
    )
    violations: list[str] = []
    statuses: Counter[int] = Counter()
    for name, text in (("a.fmsh", "param n: int = 1\necho $n\n"), ("b.fmsh", "let x = (")):
        shell.script(text, name)
    try:
        for text in ("echo a", "[1, 2]", "fail no", "sleep 1h"):
            zygote.start("--name", "name", "-c", text)
        for _ in range(trial.count):
            line = command_line(trial.choose)
            process = zygote.start(*line)
            try:
                status = process.wait(20)
            except AssertionError:
                violations.append(f"{line} does not end")
                process.kill()
                continue
            said = process.said()
            assert process.out is not None
            process.out.unlink()
            statuses[status] += 1
            is_known = status in STATUSES or any("exit" in argument for argument in line)
            if not is_known or "Traceback" in said or "fault of fmsh" in said:
                violations.append(f"{line} ended with {status}: {said[-400:]!r}")
    finally:
        zygote.close()
        shell.end()
    told = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    return Verdict(trial.count, f"{len(violations)} broken; statuses {told}", violations)


def command_line(choose: Random) -> list[str]:
    """A command line of words that fmsh knows, with others between them. None of them serves or waits for ever."""
    kind = choose.random()
    if kind < 0.5:
        text = _program(choose)
        line = [*choose.choices(["--json", "--check", "--plan", "-v", "--name=n"], k=choose.randrange(2)), "-c", text]
    elif kind < 0.8:
        line = [choose.choice(["jobs", "daemon", "help", "config", "secret", "completion"])]
        line += choose.choices(OPTIONS, k=choose.randrange(5))
    else:
        line = choose.choices([*OPTIONS, *HOSTILE[:8]], k=choose.randrange(1, 6))
    line = [argument.replace("\0", "") for argument in line]
    waits = {"attach", "wait", "--follow", "output"}
    if waits & set(line) or ("daemon" in line and "run" in line):
        line += ["--timeout", "0s"] if "wait" in line else ["--nope"]
    return line


def _program(choose: Random) -> str:
    """Words in any order, or a sound program with a mistake in it, or without one."""
    if choose.random() < 0.4:
        return choose.choice([" ", "", "; "]).join(choose.choices(WORDS, k=choose.randrange(12)))
    text = choose.choice(SOUND)
    for _ in range(choose.choice([0, 0, 1, 1, 3])):
        at = choose.randrange(len(text))
        text = text[:at] + choose.choice(["", *WORDS]) + text[at + choose.randrange(3) :]
    return text


# ---- Renderings


def renderings(trial: Trial) -> Verdict:
    """Renders `count` hostile values, errors, jobs, steps and sources for a terminal, and looks for raw controls."""
    found: list[str] = []
    choose = trial.choose
    for number in range(trial.count):
        name, render = RENDERINGS[number % len(RENDERINGS)]
        drawn = OWN_STYLE.sub("", render(choose)) if name != "display" else render(choose)
        raw = RAW.search(drawn)
        if raw is not None:
            found.append(f"{name} draws {raw.group()!r} raw: {drawn[max(0, raw.start() - 40) : raw.end() + 10]!r}")
    return Verdict(trial.count, f"{len(found)} raw control characters", found)


def text(choose: Random) -> str:
    return "".join(choose.choices(HOSTILE, k=choose.randrange(8)))


def value(choose: Random, depth: int = 0) -> object:
    match choose.randrange(10 if depth < 3 else 6):
        case 0 | 1:
            return text(choose)
        case 2:
            return choose.choice([None, True, -5, 1 << 70, 0.5, float("inf")])
        case 3:
            return text(choose).encode("utf-8", "surrogatepass")
        case 4:
            return choose.choice([Duration(5), Secret((SecretReference(text(choose)), text(choose)))])
        case 5:
            return error(choose)
        case 6 | 7:
            return [value(choose, depth + 1) for _ in range(choose.randrange(4))]
        case 8:
            return [{text(choose): value(choose, depth + 2)} for _ in range(choose.randrange(4))]
        case _:
            return {text(choose): value(choose, depth + 1) for _ in range(choose.randrange(4))}


def error(choose: Random) -> ErrorValue:
    fields = {name: text(choose) for name in ("command", "hint", "stderr", text(choose), text(choose))}
    where = {"file": text(choose), "line": choose.randrange(4), "column": choose.randrange(9)}
    trace = [{"function": text(choose), **where} for _ in range(choose.randrange(3))]
    return error_value(choose.choice(["fail", "http", text(choose)]), text(choose), where=where, trace=trace, **fields)


def _display(choose: Random) -> str:
    return values.display_text(value(choose), is_terminal=True, width=choose.choice([10, 80]))  # type: ignore[arg-type]


def _error(choose: Random) -> str:
    found = error(choose)
    name = found.fields["where"]["file"]  # type: ignore[index,call-overload]
    source = Source(str(name), "\n".join(text(choose) + "echo " + text(choose) for _ in range(3)))
    return errors.render_error(found, {source.name: source}, color=choose.random() < 0.5)


def _diagnostic(choose: Random) -> str:
    source = Source(text(choose), "\n".join(text(choose) for _ in range(4)))
    start = choose.randrange(len(source.text) + 1)
    span = (start, min(len(source.text), start + choose.randrange(4)))
    return diagnostics.render([Diagnostic(source, span, text(choose), text(choose))], color=choose.random() < 0.5)


def job(choose: Random) -> dict[str, object]:
    at = "2026-11-24T10:00:00.000Z"
    wait = {
        "kind": choose.choice(["timer", "callback"]), "label": text(choose), "since": at,
        "until": choose.choice([None, at]), "where": {"file": text(choose), "line": 1, "column": 2},
    }  # fmt: skip
    return {
        "id": 3, "uid": text(choose), "key": text(choose), "name": text(choose), "tags": {text(choose): text(choose)},
        "state": choose.choice(["running", "waiting", "parked", "succeeded", "failed"]), "source": text(choose),
        "command": text(choose), "created_at": at, "started_at": at, "ended_at": choose.choice([None, at]),
        "owner": choose.choice([None, {"kind": text(choose), "pid": 1, "host": text(choose)}]), "detached": True,
        "waiting_for": [wait], "steps": 2, "events": 3, "value": value(choose), "error": error(choose),
        "exit_status": None,
    }  # fmt: skip


def _job_table(choose: Random) -> str:
    found = [job(choose) for _ in range(choose.randrange(1, 4))]
    return jobs.job_table(found, now_ms=1_800_000_000_000, cells_max=choose.choice([20, 100]), color=True)  # type: ignore[arg-type]


def _job_page(choose: Random) -> str:
    return jobs.job_page(job(choose), now_ms=1_800_000_000_000, cells_max=choose.choice([20, 100]), color=True)  # type: ignore[arg-type]


def _log_line(choose: Random) -> str:
    data = {
        "connector": text(choose), "operation": text(choose), "text": text(choose), "reason": text(choose),
        "is_cancelled": choose.random() < 0.1, "items": [text(choose)],
        "arguments": {"argv": [text(choose)], "url": text(choose), "method": text(choose)}, "error": error(choose),
        "value": value(choose), "outcome": {"error": error(choose), "value": value(choose)},
    }  # fmt: skip
    kind = choose.choice(
        ["RequestMade", "RequestCompleted", "Displayed", "JobEnded", "Parked", "HandedOver", text(choose)]
    )
    event = {"job": 1, "seq": 2, "at": "2026-11-24T10:00:00.000Z", "type": kind, "step": 3, "where": None, "data": data}
    return jobs.log_line(event, cells_max=choose.choice([20, 100]))  # type: ignore[arg-type]


def _step(choose: Random) -> str:
    arguments = {"stages": [{"argv": [text(choose)]}], "url": text(choose), "method": text(choose)}
    return steps.describe(choose.choice(["process", "http", text(choose)]), text(choose), arguments)  # type: ignore[arg-type]


def _table(choose: Random) -> str:
    width = choose.choice([5, 40])
    columns = [
        tables.Column(cells.visible(text(choose)), [cells.visible(text(choose)) for _ in range(3)]) for _ in "abc"
    ]
    return tables.draw(columns, cells_max=width) + cells.cut(cells.visible(text(choose)), 3)


RENDERINGS = (
    ("display", _display), ("error", _error), ("diagnostic", _diagnostic), ("job list", _job_table),
    ("job page", _job_page), ("log", _log_line), ("step", _step), ("table", _table),
)  # fmt: skip

ROWS = (
    Row("arguments", "0 tracebacks, 0 strange statuses", Counts(60, 500, 10_000), arguments),
    Row("renderings", "0 raw control characters", Counts(4000, 20_000, 100_000), renderings),
)
