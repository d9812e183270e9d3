"""Reads the request log of the services, for `crash.sh`.

log.py in-flight ADDRESS SERVICE     status 0 if a build of SERVICE is being asked for at this moment
log.py verify ADDRESS OUT SERVICE…   shows the log and checks that each release was done once; else status 1
"""

from __future__ import annotations

import glob
import json
import sys
import urllib.request
from collections import defaultdict
from typing import Any

Entry = dict[str, Any]


def read_log(address: str) -> dict[str, list[Entry]]:
    with urllib.request.urlopen(f"{address}/log", timeout=10) as answer:
        log: dict[str, list[Entry]] = json.load(answer)
    return log


def is_asking_for_a_build(log: dict[str, list[Entry]], service: str) -> bool:
    return any(
        entry["method"] == "POST" and entry["status"] is None and entry["body"]["service"] == service
        for entry in log["requests"]
    )


def show(log: dict[str, list[Entry]]) -> None:
    """Prints one line per request; equal keys are equal requests."""
    began = log["requests"][0]["at"]
    print(f"{'':>3} {'time':>6}  {'to':<8}{'request':<31}{'Idempotency-Key':<18}answer")
    for entry in log["requests"]:
        after = f"{entry['at'] - began:.1f}s"
        request = f"{entry['method']} {entry['path']}"
        key = (entry["key"] or "-")[:12]
        print(f"{entry['number']:>3} {after:>6}  {entry['to']:<8}{request:<31}{key:<18}{entry['status']}")
    for call in log["callbacks"]:
        print(f"    {call['at'] - began:>5.1f}s  callback of build {call['build']}: {call['status']}")


def complaints(log: dict[str, list[Entry]], out: str, services: list[str]) -> list[str]:
    """Says what was done twice, or not at all."""
    found = [*_complaints_about_keys(log["requests"])]
    for service in services:
        builds = [build for build in log["builds"] if build["service"] == service]
        if len(builds) != 1:
            found.append(f"{service} was built {len(builds)} times")
        rolled_out = [e for e in log["requests"] if e["method"] == "PUT" and e["path"] == f"/services/{service}"]
        if not any(entry["status"] == 200 for entry in rolled_out):
            found.append(f"{service} was not rolled out")
        taken = [c for c in log["callbacks"] if c["status"] == 202 and c["build"] in [b["id"] for b in builds]]
        if len(taken) != 1:
            found.append(f"the callback for {service} was taken {len(taken)} times")
        runs = packing_runs(out, service)
        if runs != 1:
            found.append(f"{service} was packed {runs} times")
    return found


def packing_runs(out: str, service: str) -> int:
    """Counts how often `pack.sh` was started for a service."""
    runs = 0
    for path in glob.glob(f"{glob.escape(out)}/{service}-*.runs"):
        with open(path) as file:
            runs += len(file.readlines())
    return runs


def _complaints_about_keys(requests: list[Entry]) -> list[str]:
    """The same request must carry the same key each time; a POST without a key could not be repeated safely."""
    keys: dict[str, set[str | None]] = defaultdict(set)
    for entry in requests:
        what = entry["body"]["service"] if entry["method"] == "POST" else entry["path"]
        keys[f"{entry['method']} of {what} to {entry['to']}"].add(entry["key"])
    found = [f"{request}: repeated with different keys" for request, used in keys.items() if len(used) > 1]
    return found + [f"{request}: no key" for request, used in keys.items() if "POST" in request and None in used]


def main(arguments: list[str]) -> int:
    match arguments:
        case ["in-flight", address, service]:
            return 0 if is_asking_for_a_build(read_log(address), service) else 1
        case ["verify", address, out, *services]:
            log = read_log(address)
            show(log)
            found = complaints(log, out, services)
            for complaint in found:
                print(f"wrong: {complaint}", file=sys.stderr)
            return 1 if found else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
