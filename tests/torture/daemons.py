"""A daemon that is killed all the time, with many jobs to do; and one that is asked to end while others wait at it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from fmsh.daemon.client import UnixConnection
from fmsh.store.base import JobFilter
from tests.cli.shell import until
from tests.torture.rows import Counts, Row, Trial, Verdict, over
from tests.torture.stage import Stage

SECONDS_A_JOB = 0.6  # a thousand jobs in ten minutes
SECONDS_MIN = 4.0
LIFE_S = (0.1, 0.5)
ROUNDS = 3
STARTERS = 4
SHARE_SLEPT = 0.1  # of that time, before the next round of a job
DONE_S_MAX = 120.0  # after the last kill, besides what a job sleeps

STOP_S_MAX = 2.0
BUSY = {
    "get": "GET $env.SILENT --timeout 1h",
    "post": "POST $env.SILENT {n: 1} --timeout 1h",
    "process": "sh -c 'sleep 3600'",
    "computing": "while true { let n = 1 }",
}
WAITS = (
    "/v1/jobs/process?wait=1h", "/v1/jobs/get/events", "/v1/events/t", "/v1/events/t?wait=1h",
    "/v1/functions/f/calls?wait=1h",
)  # fmt: skip

SCRIPT = """
let name = $args[0]
let url = $args[1]
for i in 1..3 {
  POST $url/$name/$i {n: $i}
  let said = sh -c 'echo "$0 $1" >> ran; echo "$1"' $name $i
  sleep "PAUSEms"
}
"all done"
"""


def killed_again_and_again(trial: Trial) -> Verdict:
    """Starts detached jobs, and kills each daemon a moment after its start. `count` jobs, for 0.6 s each."""
    stage = Stage(trial)
    seconds = max(SECONDS_MIN, trial.count * SECONDS_A_JOB)
    pause_s = seconds * SHARE_SLEPT
    names = [f"job-{number}" for number in range(trial.count)]
    try:
        stage.shell.script(SCRIPT.replace('"PAUSEms"', f"{int(pause_s * 1000)}ms"), "rounds.fmsh")
        kills = _kill_while(stage, trial, names, seconds)
        already = stage.store.count_by_state()["succeeded"]
        stage.zygote.start("daemon", "run")  # which ends at once if the last `fmsh -d` has started one
        ended_s = time.monotonic()
        jobs = stage.store.count_by_state
        until_s = DONE_S_MAX + ROUNDS * pause_s
        until(lambda: jobs()["succeeded"] >= trial.count, "the end of all jobs", timeout_s=until_s)
        took_s = time.monotonic() - ended_s
        violations = _judge(stage, names)
    finally:
        stage.close()
    done = trial.count - sum("did not succeed" in violation for violation in violations)
    worst = f"{done:,} done, {already:,} of them during {kills:,} kills, the last one {took_s:.0f} s after"
    return Verdict(trial.count, worst, violations)


def _kill_while(stage: Stage, trial: Trial, names: list[str], seconds: float) -> int:
    """Kills one daemon after the other while the jobs are started, and for as long as they should take."""
    kills, until_s = 0, time.monotonic() + seconds

    def start(name: str) -> None:
        until(lambda: stage.zygote.run("-d", "--key", name, "rounds.fmsh", name, stage.witness.url)[0] == 0, name)

    with ThreadPoolExecutor(STARTERS) as starters:
        started = [starters.submit(start, name) for name in names]
        while time.monotonic() < until_s or not all(each.done() for each in started):
            daemon = stage.zygote.start("daemon", "run")
            time.sleep(trial.choose.uniform(*LIFE_S))
            kills += daemon.kill() + _kill_others(stage)
        for each in started:
            each.result()
    return kills


def _kill_others(stage: Stage) -> int:
    """Kills the daemon that a `fmsh -d` has started because it found none."""
    kills = 0
    for owner in stage.store.owners():
        if owner.kind == "daemon" and stage.store.is_alive(owner.id):
            try:
                os.kill(owner.pid, signal.SIGKILL)
                kills += 1
            except ProcessLookupError:  # it found that it was not needed
                continue
    return kills


def _judge(stage: Stage, names: list[str]) -> list[str]:
    found = stage.witness.unrecorded()
    ran = Counter((stage.shell.file("ran") or "").splitlines())
    jobs = {job.key: job for job in stage.store.jobs(JobFilter())}
    asked = Counter((each.case, each.path) for each in stage.witness.log)
    keys = {(each.case, each.path): set[str]() for each in stage.witness.log}
    for each in stage.witness.log:
        keys[each.case, each.path].add(each.key)
    for name in names:
        job = jobs.get(name)
        if job is None or job.state != "succeeded" or job.value_json != '"all done"':
            found.append(f"{name} did not succeed: {job}")
            continue
        handovers = sum(event.type == "HandedOver" for event in stage.store.events(job.id))
        for turn in map(str, range(1, ROUNDS + 1)):
            times = asked[name, turn]
            if not 1 <= times <= 1 + handovers or len(keys[name, turn]) != 1:
                found.append(f"{name}: request {turn} came {times} times over {handovers} takeovers")
            if ran[f"{name} {turn}"] != 1:
                found.append(f"{name}: process {turn} ran {ran[f'{name} {turn}']} times")
    return found


def stopped_while_others_wait(trial: Trial) -> Verdict:
    """Sends TERM while jobs are at all kinds of work, and clients wait: each is answered, and each job goes on."""
    stage = Stage(trial)
    violations: list[str] = []
    slowest_s = 0.0
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(len(WAITS)) as clients:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        try:
            for number in range(trial.count):
                daemon = stage.start_daemon()
                if number == 0:
                    for job, text in BUSY.items():
                        assert stage.zygote.run("-d", "--key", job, "-c", text, SILENT=url)[0] == 0, job
                until(lambda: _all_held(stage), "that all jobs run")
                asked = [clients.submit(_answer_of, stage, path) for path in WAITS]
                time.sleep(trial.choose.uniform(0.05, 0.2))
                begun_s = time.monotonic()
                daemon.signal(signal.SIGTERM)
                status = daemon.wait()
                slowest_s = max(slowest_s, time.monotonic() - begun_s)
                violations += [f"the daemon ended with {status}: {daemon.said()}"] if status or daemon.said() else []
                violations += [wrong for each in asked if (wrong := each.result())]
                states = [job.state for job in stage.store.jobs(JobFilter())]
                violations += [f"jobs are {states}"] if states != ["running"] * len(BUSY) else []
        finally:
            stage.close()
    worst = f"ended after {slowest_s:.2f} s at most; {len(violations)} without an answer"
    return Verdict(trial.count, worst, violations, over(STOP_S_MAX, slowest_s, "the end"))


def _all_held(stage: Stage) -> bool:
    return all(job.owner_id is not None for job in stage.store.jobs(JobFilter()))


def _answer_of(stage: Stage, path: str) -> str:
    """Waits at the daemon; gives what is wrong with its answer."""
    connection = UnixConnection(f"{stage.shell.environment['FMSH_RUNTIME_DIR']}/control.sock", timeout_s=30)
    try:
        connection.request("GET", path, headers={"Accept": "text/event-stream"} if "wait" not in path else {})
        answer = connection.getresponse()
        answer.read()
        return "" if answer.status in (200, 204) else f"{path}: {answer.status}"
    except (OSError, HTTPException) as fault:
        return f"{path}: {fault!r}"
    finally:
        connection.close()


ROWS = (
    Row("daemon-stops", "ends in 2 s, all answered", Counts(2, 20, 200), stopped_while_others_wait),
    Row("daemon-kills", "all done", Counts(8, 60, 1000), killed_again_and_again),
)
