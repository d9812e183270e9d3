"""How long it takes to export a job with a long history and to import it elsewhere, and whom that keeps waiting.

A job is moved with the commands themselves, in processes of their own, while another process commits to the same store
as fast as it can. Prints time and memory of both, and the longest commit of the other, beside the limit. Exits with 1
above it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

from bench_restore import make_history

from fmsh.store.base import JobFilter
from fmsh.store.sqlite import SqliteStore

EVENTS = 100_000
WAIT_S_MAX = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("events", nargs="?", type=int, default=EVENTS)
    parser.add_argument("--directory", help="where to make the stores (default: the temporary directory)")
    parser.add_argument("--write", metavar="STATE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        return write(arguments.write)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        make_history(directory + "/from", arguments.events)
        SqliteStore.open(directory + "/to", kind="shell").close()
        path = directory + "/job"
        is_good = move(directory + "/from", ["export", "1"], stdin=None, stdout=path)
        print(f"      the file takes {os.path.getsize(path) >> 10} KiB")
        is_good &= move(directory + "/to", ["import", "-"], stdin=path, stdout=os.devnull)
        store = SqliteStore.open(directory + "/to", kind="shell")
        (job,) = store.jobs(JobFilter())
        assert job.head == arguments.events, job.head
        assert not list(store.verify())
        store.close()
    return 0 if is_good else 1


def move(state: str, arguments: list[str], *, stdin: str | None, stdout: str) -> bool:
    writer = subprocess.Popen(
        [sys.executable, __file__, "--write", state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    environment = os.environ | {"FMSH_STATE_DIR": state, "FMSH_NO_DAEMON": "1", "FMSH_RUNTIME_DIR": state + "/run"}
    command = [sys.executable, "-m", "fmsh", "jobs", *arguments]
    begin = time.perf_counter()
    with open(stdin or os.devnull, "rb") as source, open(stdout, "wb") as target:
        moving = subprocess.Popen(command, env=environment, stdin=source, stdout=target)
        _, status, used = os.wait4(moving.pid, 0)
    took_s = time.perf_counter() - begin
    assert status == 0, status
    said, _ = writer.communicate("")
    count, worst_s = said.split()
    print(f"      {arguments[0]} took {took_s:.1f} s, at most {peak_mib(used)} MiB; {count} commits of another")
    is_good = float(worst_s) <= WAIT_S_MAX
    print(f"{'good' if is_good else 'BAD '}  the longest of these took {float(worst_s):.2f} s (limit {WAIT_S_MAX})")
    return is_good


def peak_mib(used: resource.struct_rusage) -> int:
    return used.ru_maxrss >> 10


def write(state: str) -> int:
    """Writes to the store until its standard input ends; then says how often, and how long the longest time took."""
    import select

    store = SqliteStore.open(state, kind="shell")
    print("ready", flush=True)
    count, worst_s = 0, 0.0
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        begin = time.perf_counter()
        store.set_setting("bench", str(count))
        worst_s = max(worst_s, time.perf_counter() - begin)
        count += 1
    print(count, worst_s)
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
