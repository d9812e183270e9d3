"""What the daemon costs and how fast it answers, beside its limits: callbacks, waiting jobs, and idleness.

*Latency*: from the POST to a callback address until the next effect of the job, a GET, reaches a server here.
*Accepted*: deliveries to one address over 32 connections, each answered once it is durable.
*Waiting*: memory, and time from the start of the daemon until it answers, with many waiting jobs in the store.
*Idle*: how often its process wakes up while nothing happens, and its share of a processor. Exits with 1 above a limit.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from fmsh.store.base import NewEvent, NewJob, NewProgram, Summary
from fmsh.store.sqlite import SqliteStore

CALLBACKS = 300
DELIVERIES = 6000
CONNECTIONS = 32
JOBS = 100_000
IDLE_S = 30.0
SETTLE_S = 12.0  # the first sweep of retention comes after 10 s

P50_MS_MAX, P99_MS_MAX = 3.0, 20.0
ACCEPTED_PER_S_MIN = 2000
MEMORY_MIB_MAX, READY_S_MAX = 100, 1.0
WAKE_UPS_PER_S_MAX, PROCESSOR_PERCENT_MAX = 0.1, 0.1


class Daemon:
    """A daemon in a directory of its own, asked by its command line."""

    def __init__(self, directory: str) -> None:
        self.state = directory + "/state"
        self.environment = os.environ | {
            "FMSH_STATE_DIR": self.state,
            "FMSH_RUNTIME_DIR": directory + "/run",
            "FMSH_CONFIG_DIR": directory + "/config",
        }

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "fmsh", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def start(self) -> int:
        return int(json.loads(self.run("daemon", "start", "--json"))["pid"])

    def stop(self) -> None:
        self.run("daemon", "stop")

    def address_of_a_job(self, text: str) -> str:
        """Starts a detached job whose first line displayed is an address."""
        number = self.run("-d", "-c", text).strip()
        while not (shown := self.run("jobs", "output", number)).endswith("\n"):
            time.sleep(0.05)
        return shown.strip()


class Arrivals(ThreadingHTTPServer):
    """A server that notes when a request arrives."""

    daemon_threads = True

    def __init__(self) -> None:
        self.at: list[float] = []
        self.came = threading.Semaphore(0)
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Arrivals)
        self.server.at.append(time.perf_counter())
        self.send_response(204)
        self.end_headers()
        self.server.came.release()

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def measure_latency(daemon: Daemon) -> bool:
    server = Arrivals()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    address = urlsplit(
        daemon.address_of_a_job(f"let hook = callback --many; print $hook.url; for m in $hook {{ GET {url} }}")
    )
    connection = HTTPConnection(str(address.hostname), address.port or 80)
    took_ms = []
    for number in range(CALLBACKS):
        begun_s = time.perf_counter()
        connection.request("POST", address.path, json.dumps({"n": number}), {"Content-Type": "application/json"})
        connection.getresponse().read()
        server.came.acquire()
        took_ms.append((server.at[-1] - begun_s) * 1000)
        time.sleep(0.01)
    server.shutdown()
    p50, p99 = statistics.median(took_ms), statistics.quantiles(took_ms, n=100)[98]
    good = report("callback to effect, p50", p50, "ms", P50_MS_MAX)
    return report("callback to effect, p99", p99, "ms", P99_MS_MAX) and good


def measure_accepted(daemon: Daemon) -> bool:
    address = urlsplit(daemon.address_of_a_job("let hook = callback --many; print $hook.url; sleep 1h"))
    selector = selectors.DefaultSelector()
    sent = answered = 0
    begun_s = time.perf_counter()
    for _ in range(CONNECTIONS):
        ours = socket.create_connection((str(address.hostname), address.port or 80))
        ours.sendall(request(address.path, address.netloc, sent))
        sent += 1
        selector.register(ours, selectors.EVENT_READ)
    while answered < DELIVERIES:
        for key, _ in selector.select():
            ours = key.fileobj
            assert isinstance(ours, socket.socket)
            answer = ours.recv(4096)
            while not answer.endswith(b"}"):
                answer += ours.recv(4096)
            assert answer.startswith(b"HTTP/1.1 202"), answer
            answered += 1
            if sent < DELIVERIES:
                ours.sendall(request(address.path, address.netloc, sent))
                sent += 1
    took_s = time.perf_counter() - begun_s
    return report("callbacks accepted", answered / took_s, "/s", ACCEPTED_PER_S_MIN, is_minimum=True)


def request(path: str, host: str, number: int) -> bytes:
    body = b'{"n":%d}' % number
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure_waiting(daemon: Daemon) -> bool:
    daemon.stop()
    store = SqliteStore.open(daemon.state, kind="shell")
    program = NewProgram("0" * 64, "bench.fmsh", "await $hook", "{}")
    summary = Summary("waiting", None, 1, '[{"kind":"callback","label":"1"}]')
    for number in range(JOBS):
        new = NewJob(f"waiting {number}", "bench.fmsh", "bench.fmsh", 1, program, is_detached=True)
        store.create_job(new, [NewEvent("JobStarted", 1, "{}")], summary, lease=False)
    store.close()
    begun_s = time.perf_counter()
    pid = daemon.start()
    ready_s = time.perf_counter() - begun_s
    time.sleep(2.0)
    good = report(f"ready with {JOBS} waiting jobs", ready_s, "s", READY_S_MAX)
    return report(f"memory with {JOBS} waiting jobs", resident_mib(pid), "MiB", MEMORY_MIB_MAX) and good


def measure_idle(daemon: Daemon) -> bool:
    daemon.stop()
    pid = daemon.start()
    time.sleep(SETTLE_S)
    before, used_s = wake_ups(pid), processor_s(pid)
    time.sleep(IDLE_S)
    good = report("idle", (wake_ups(pid) - before) / IDLE_S, "wake-ups/s", WAKE_UPS_PER_S_MAX)
    share = 100 * (processor_s(pid) - used_s) / IDLE_S
    return report("idle", share, "% of a processor", PROCESSOR_PERCENT_MAX) and good


def wake_ups(pid: int) -> int:
    """How often the threads of a process went to sleep by themselves."""
    count = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            count += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
    return count


def processor_s(pid: int) -> float:
    """The time that the threads of a process were running, to the nanosecond."""
    used_ns = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            used_ns += int(file.read().split()[0])
    return used_ns / 1e9


def resident_mib(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def report(what: str, figure: float, unit: str, limit: float, *, is_minimum: bool = False) -> bool:
    is_good = figure >= limit if is_minimum else figure <= limit
    print(f"{what}: {figure:.2f} {unit} (limit {limit:g}){'' if is_good else '  TOO BAD'}", flush=True)
    return is_good


MEASURES = {
    "latency": measure_latency,
    "accepted": measure_accepted,
    "idle": measure_idle,
    "waiting": measure_waiting,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("measures", nargs="*", metavar="|".join(MEASURES), help="which (default: all)")
    chosen = parser.parse_args().measures or [*MEASURES]
    for name in chosen:
        if name not in MEASURES:
            parser.error(f"there is no measure {name}")
    is_good = True
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="fmsh-") as directory:
            daemon = Daemon(directory)
            daemon.start()
            try:
                is_good &= MEASURES[name](daemon)
            finally:
                daemon.stop()
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
