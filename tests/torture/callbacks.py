"""Callbacks at a real daemon: delivered twice, too early, too late, while the daemon is killed, and among drips."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.cli.shell import until
from tests.torture.processes import Process
from tests.torture.rows import Counts, Row, Trial, Verdict, over
from tests.torture.stage import Stage

SENDERS = 8
POSTS_A_KILL = 4
KILL_WITHIN_S = 0.08
ANSWER_S_MAX = 1.0
CONNECTIONS = 900

WAITING = """
let hook = callback
POST $args[0]/hook {url: $hook.url}
await $hook
"""
EARLY = """
let hook = callback
POST $args[0]/hook {url: $hook.url}
POST $args[0]/was-called {}
await $hook
"""
EXPIRING = """
let hook = callback --ttl 50ms
POST $args[0]/hook {url: $hook.url}
sleep 100ms
POST $args[0]/expired {}
sleep 1h
"""
SCRIPTS = {"waiting.fmsh": WAITING, "early.fmsh": EARLY, "expiring.fmsh": EXPIRING}


class Callbacks(Stage):
    """Jobs that wait for calls, and what is needed to call them."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(trial)
        for name, text in SCRIPTS.items():
            self.shell.script(text, name)

    def start_job(self, script: str, name: str) -> None:
        """Starts a detached job, in the one daemon that lives or the next one."""
        arguments = ("-d", "--key", name, script, f"{self.witness.url}/{name}")
        until(lambda: self.zygote.run(*arguments)[0] == 0, name)

    def url_of(self, name: str) -> str:
        """Gives the address at which a job waits."""
        asked = until(lambda: self.witness.of(name), f"the address of {name}")
        return str(asked[0].body["url"])

    def value_of(self, name: str) -> Any:
        job = until(lambda: (job := self.store.job_by_key(name)) and job.ended_at_ms is not None and job, name)
        return json.loads(job.value_json or "null")

    def deliveries(self, name: str) -> int:
        job = self.store.job_by_key(name)
        assert job is not None
        return sum(event.type == "InboxTaken" for event in self.store.events(job.id))


def post(url: str, body: Any, id: str | None = None, timeout_s: float = 10.0) -> int:
    """Gives the status of the answer; 0 if there was none."""
    headers = {"Content-Type": "application/json"} | ({"webhook-id": id} if id else {})
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=timeout_s
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        return answer.code
    except (OSError, ValueError):
        return 0


# ---- Twice, too early, too late


def odd(trial: Trial) -> Verdict:
    """`count` repeats of one delivery at once; then calls before the await, after the expiry, and after the end."""
    stage = Callbacks(trial)
    try:
        stage.start_daemon()
        for kind, script in (("twice", "waiting.fmsh"), ("early", "early.fmsh"), ("late", "expiring.fmsh")):
            stage.start_job(script, kind)
        url = stage.url_of("twice")
        with ThreadPoolExecutor(SENDERS) as senders:
            statuses = list(senders.map(lambda _: post(url, {"n": 1}, "one"), range(trial.count)))
        violations = [f"a repeat was answered with {status}" for status in set(statuses) - {202}]
        if stage.value_of("twice") != {"n": 1} or stage.deliveries("twice") != 1:
            violations.append(f"{stage.deliveries('twice')} events of one delivery, {stage.value_of('twice')}")
        violations += _too_early(stage) + _too_late(stage, url)
    finally:
        stage.close()
    return Verdict(trial.count, "1 event; kept; 404" if not violations else "see above", violations)


def _too_early(stage: Callbacks) -> list[str]:
    """The job goes on to its await only after it was called."""
    called = threading.Event()
    stage.witness.react = lambda asked: asked.path == "was-called" and called.wait(10)
    status = post(stage.url_of("early"), {"n": 2})
    called.set()
    kept = stage.value_of("early")
    return [] if (status, kept) == (202, {"n": 2}) else [f"a call before the await: {status}, {kept}"]


def _too_late(stage: Callbacks, url_of_ended: str) -> list[str]:
    until(lambda: len(stage.witness.of("late")) > 1, "the expiry")
    statuses = [post(stage.url_of("late"), {"n": 3}), post(url_of_ended, {"n": 4}, "another")]
    return [] if statuses == [404, 404] else [f"after the expiry, and after the end: {statuses}"]


# ---- The daemon is killed during the POST


def killed(trial: Trial) -> Verdict:
    """Kills the daemon while some POSTs are on their way; each sender tries again until it is answered."""
    stage = Callbacks(trial)
    violations: list[str] = []
    answered = kills = 0
    try:
        daemon = stage.start_daemon()
        names = [f"post-{number}" for number in range(trial.count)]
        for name in names:
            stage.start_job("waiting.fmsh", name)
        urls = {name: stage.url_of(name) for name in names}
        for first in range(0, trial.count, POSTS_A_KILL):
            some = names[first : first + POSTS_A_KILL]
            daemon, statuses = _kill_during(stage, trial, daemon, [(urls[name], {"for": name}) for name in some])
            kills += 1
            answered += statuses.count(202)
            violations += [f"a POST was answered with {status}" for status in set(statuses) - {0, 202}]
            for name, status in zip(some, statuses, strict=True):
                if status != 202:
                    repeated = until(lambda name=name: post(urls[name], {"for": name}), f"an answer for {name}")  # type: ignore
                    violations += [] if repeated == 202 else [f"{name}: sent again, answered with {repeated}"]
        for name in names:
            if stage.value_of(name) != {"for": name} or stage.deliveries(name) != 1:
                violations.append(f"{name}: {stage.deliveries(name)} events, {stage.value_of(name)}")
    finally:
        stage.close()
    worst = f"{len(violations)} lost or doubled of {answered:,} acknowledged before {kills:,} kills"
    return Verdict(trial.count, worst, violations)


def _kill_during(
    stage: Callbacks, trial: Trial, daemon: Process, posts: list[tuple[str, Any]]
) -> tuple[Process, list[int]]:
    statuses = [0] * len(posts)

    def send(index: int) -> Callable[[], None]:
        def run() -> None:
            statuses[index] = post(*posts[index])

        return run

    threads = [threading.Thread(target=send(index)) for index in range(len(posts))]
    for thread in threads:
        thread.start()
    time.sleep(trial.choose.random() * KILL_WITHIN_S)
    daemon.kill()
    for thread in threads:
        thread.join()
    return stage.start_daemon(), statuses


# ---- Drips


def dripping(trial: Trial) -> Verdict:
    """Holds `count` connections that send a byte now and then, and calls back for real."""
    stage = Callbacks(trial)
    try:
        stage.start_daemon()
        stage.start_job("waiting.fmsh", "real")
        url = stage.url_of("real")
        host, port = url.split("/")[2].split(":")
        head = f"POST /cb/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\n".encode()
        connections = [socket.create_connection((host, int(port)), timeout=10) for _ in range(trial.count)]
        for connection in connections:
            connection.sendall(head)
        stop = threading.Event()
        drips = threading.Thread(target=_drip, args=(connections, stop))
        drips.start()
        began_s = time.monotonic()
        status = post(url, {"real": True})
        took_s = time.monotonic() - began_s
        stop.set()
        drips.join()
        for connection in connections:
            connection.close()
        kept = stage.value_of("real")
    finally:
        stage.close()
    violations = [] if (status, kept) == (202, {"real": True}) else [f"a real POST: {status}, {kept}"]
    return Verdict(
        trial.count, f"a real POST took {took_s:.2f} s", violations, over(ANSWER_S_MAX, took_s, "a real POST took")
    )


def _drip(connections: list[socket.socket], stop: threading.Event) -> None:
    while not stop.is_set():
        for connection in connections:
            try:
                connection.send(b"x")
            except OSError:  # the server has had enough of it
                continue


ROWS = (
    Row("callbacks", "1 event; kept; 404", Counts(200, 1000, 1000), odd),
    Row("posts", "0 acknowledged lost", Counts(12, 100, 1000), killed),
    Row("drips", "a real POST in 1 s", Counts(CONNECTIONS, CONNECTIONS, CONNECTIONS), dripping),
)
