"""What the language costs: parsing, pure pipelines, JSON, large outputs, streams, each beside what it is compared with.

Measures the `fmsh` that is installed beside the interpreter that runs this, a wheel in a virtual environment. Figures
are medians of whole processes, of their CPU where the machine is not what is measured; where something is taken off, it
is what the rest of the same program costs. jq is compared with if there is one. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

RUNS = 5
DOCUMENT_BYTES = 20_000_000
OUTPUT_BYTES = 50_000_000
ROWS = 300_000

SCRIPT_PART = """\
def f{n}(count: int, --loud: bool) {{
  let found{n} = {{name: "item $count", list: [1, 2, $count]}}
  if $found{n}.name == "item 3" {{
    print "three $found{n}.list"
  }} else {{
    $found{n}.list | where {{ $it > 1 }} | sum
  }}
}}
"""
WRITES = f"yes some words of a line | head -c {OUTPUT_BYTES}"
STREAM_LINES = 10_000_000  # of 100 bytes
LINES = "yes {line} | head -n {{count}} | lines | where {{{{ $it =~ ERROR }}}} | count".format(line="x" * 99)
CAPTURE = f"""
import os, subprocess, sys
done = subprocess.run("{WRITES}", shell=True, capture_output=True)
with open(sys.argv[1], "wb") as file:
    file.write(done.stdout)
    file.flush()
    os.fdatasync(file.fileno())
print(len(done.stdout))
"""


class Bench:
    """Runs fmsh and what it is compared with, on a store of its own in `directory`."""

    def __init__(self, fmsh: str, directory: str) -> None:
        self.path = fmsh
        self.directory = directory
        self._environment = os.environ | {"FMSH_STATE_DIR": directory + "/state", "FMSH_NO_DAEMON": "1"}
        self.is_good = True

    def fmsh(self, text: str) -> tuple[float, float]:
        return self.run([self.path, "-c", text])

    def peak_mib(self, text: str) -> float:
        """The most memory that fmsh alone had at a time."""
        child = subprocess.Popen(
            [self.path, "-c", text], env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, text
        return usage.ru_maxrss / 1024

    def python(self, text: str, *arguments: str) -> tuple[float, float]:
        return self.run([sys.executable, "-I", "-c", text, *arguments])

    def run(self, command: list[str]) -> tuple[float, float]:
        """The medians of the seconds of wall-clock and of CPU of a command."""
        walls, cpus = [], []
        for _ in range(RUNS):
            before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
            )
            walls.append(time.perf_counter() - begin)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return statistics.median(walls), statistics.median(cpus)

    def judge(self, what: str, figure: float, unit: str, limit: float, *, at_least: bool = False) -> None:
        is_good = figure >= limit if at_least else figure <= limit
        self.is_good &= is_good
        bound = "at least" if at_least else "at most"
        print(f"{'good' if is_good else 'BAD':<5} {what}: {figure:,.2f} {unit} ({bound} {limit:,g})", flush=True)


def main() -> int:
    fmsh = os.path.join(os.path.dirname(sys.executable), "fmsh")
    if not os.path.exists(fmsh):
        print(f"install fmsh into the environment of {sys.executable} first")
        return 2
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(fmsh, directory)
        parsing(bench)
        pure(bench)
        documents(bench)
        rows(bench)
        outputs(bench)
        streams(bench)
    return 0 if bench.is_good else 1


def parsing(bench: Bench) -> None:
    from fmsh.lang.parser import parse
    from fmsh.spans import Source

    lines = SCRIPT_PART.count("\n")
    script = Source("script", "".join(SCRIPT_PART.format(n=n) for n in range(1000 // lines)))
    bench.judge("parse a script of 1000 lines", cpu_ms(lambda: parse(script), 1), "ms", 100)
    line = Source("prompt", 'ls *.py | lines | where { $it =~ "^a" } | first 3')
    bench.judge("parse a line of the prompt", cpu_ms(lambda: parse(line), 100), "ms", 0.5)


def cpu_ms(do: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(RUNS):
        begin = time.process_time()
        for _ in range(times):
            do()
        taken.append((time.process_time() - begin) / times * 1000)
    return statistics.median(taken)


def pure(bench: Bench) -> None:
    _, start = bench.fmsh("range 1 1 | where { $it % 2 == 0 } | sum")
    _, ours = bench.fmsh("range 1 1000000 | where { $it % 2 == 0 } | sum")
    _, bare = bench.python("print(sum(x for x in range(1, 2) if x % 2 == 0))")
    _, theirs = bench.python("print(sum(x for x in range(1, 1000001) if x % 2 == 0))")
    bench.judge("range | where | sum, as a generator in Python", (ours - start) / (theirs - bare), "times", 2)


def documents(bench: Bench) -> None:
    path = bench.directory + "/document.json"
    write_document(path)
    size_mb = os.path.getsize(path) / 1e6
    _, ours_s = bench.fmsh(f"load {path} | where {{ .age > 40 }} | count")
    bench.judge("filter and count 20 MB of JSON (nushell: 7.7)", size_mb / ours_s, "MB/s", 4 * 7.7, at_least=True)
    _, piped_s = bench.fmsh(f"cat {path} | from json | where {{ .age > 40 }} | count")
    bench.judge("the same from a pipe", size_mb / piped_s, "MB/s", 4 * 7.7, at_least=True)
    if shutil.which("jq"):
        _, jq_s = bench.run(["jq", "[.[] | select(.age > 40)] | length", path])
        bench.judge("that, as jq", jq_s / ours_s, "times the rate", 2, at_least=True)


def write_document(path: str) -> None:
    choose = random.Random(1)
    items, size = [], 0
    while size < DOCUMENT_BYTES:
        item = {
            "id": len(items),
            "name": f"user{choose.randrange(10**6)}",
            "age": choose.randrange(90),
            "tags": ["a", "b", "c"],
            "address": {"city": f"c{choose.randrange(100)}", "zip": choose.randrange(10**5)},
            "score": choose.random(),
        }
        items.append(json.dumps(item))
        size += len(items[-1]) + 1
    with open(path, "w", encoding="utf-8") as file:
        file.write("[" + ",".join(items) + "]")


def rows(bench: Bench) -> None:
    made = f'let rows = range 1 {ROWS} | each {{ |i| {{a: $i, b: "x", c: ($i % 7)}} }}'
    _, before = bench.fmsh(f"{made}; $rows | count")
    _, whole = bench.fmsh(f"{made}; $rows | where {{ .c > 2 }} | select a c | group-by c | count")
    bench.judge("records through where, select, group-by", ROWS / (whole - before) / 1e6, "million/s", 1, at_least=True)


def outputs(bench: Bench) -> None:
    bench.fmsh("true")
    ours, _ = bench.fmsh(f"let text = ({WRITES}); $text | str length")
    theirs, _ = bench.python(CAPTURE, bench.directory + "/captured")
    bench.judge("capture 50 MB, as subprocess + write + fdatasync", ours / theirs, "times", 2)


def streams(bench: Bench) -> None:
    path = bench.directory + "/lines.jsonl"
    with open(bench.directory + "/document.json", encoding="utf-8") as document, open(path, "w") as lines:
        lines.writelines(json.dumps(item) + "\n" for item in json.load(document))
    size_mb = os.path.getsize(path) / 1e6
    _, cpu_s = bench.fmsh(f"cat {path} | from jsonl | where {{ .age > 40 }} | count")
    bench.judge("lines of JSON from a pipe", size_mb / cpu_s, "MB/s", 4 * 7.7, at_least=True)
    short, long = (bench.peak_mib(LINES.format(count=count)) for count in (STREAM_LINES // 100, STREAM_LINES))
    bench.judge("memory for lines | where | count of 1 GB, as of 10 MB", long / short, "times", 1.2)
    _, start = bench.run([bench.path, "-c", "true"])
    _, early = bench.fmsh("yes | lines | first 3 | count")
    bench.judge("a source without an end, of which 3 lines are wanted", early / start, "times a start", 5)


if __name__ == "__main__":
    sys.exit(main())
