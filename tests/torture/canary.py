"""A secret that is used in all ways, and looked for in all places where it could lie in clear.

It is in the environment of the shell and in the store, and goes to a service, into a command's environment and input,
into an error, a display and a name. Only the command that is given it and the service may have it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.cli.shell import Shell, until
from tests.connectors.http_server import Server, json_answer
from tests.torture.rows import Counts, Row, Trial, Verdict

KEPT, OF_ENVIRONMENT, UNNAMED = "canary-9f3a7c-kept", "canary-41d0be-environment", "canary-c07d11-header"
CANARIES = (KEPT, OF_ENVIRONMENT, UNNAMED)

SCRIPT = """
let key = secret KEY
let token = $env.CI_TOKEN
let a = POST $args[0]/a {n: 1} --auth bearer:KEY
let b = GET "$args[0]/b?token=$token" --header {X-Api-Key: $key}
TOKEN=$key sh -c 'test -n "$TOKEN"; sleep 0.01'
$token | sh -c 'cat > /dev/null; echo taken'
echo "the key is $key and the token $token"
let c = try { GET "$args[0]/fail/$key" --retry 0 } catch e { $e.message }
echo $c
print [$key, {token: $token}]
sh -c 'echo > begun; until [ -e go ]; do sleep 0.02; done'
fail "it did not work with $key and $token"
"""


def run(trial: Trial) -> Verdict:
    shell = Shell(trial.directory)
    shell.environment |= {"CI_TOKEN": OF_ENVIRONMENT, "TMPDIR": str(trial.directory / "tmp")}
    (trial.directory / "tmp").mkdir()
    shell.script(SCRIPT)
    failure = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"
    answers = [json_answer("1", **{"Set-Cookie": f"session={UNNAMED}"}), json_answer("1"), failure]
    server = Server(*answers)
    places: dict[str, Callable[[], bytes]] = {}
    try:
        assert shell.run("secret", "set", "KEY", input=f"{KEPT}\n").status == 0
        shell.ok("daemon", "start")
        process = shell.start("-v", "script.fmsh", server.url)
        shell.await_file("begun")
        sent = [seen.headers.get("authorization") for seen in server.seen]
        assert sent[0] == f"Bearer {KEPT}" and OF_ENVIRONMENT in server.seen[1].target, "the service did not get them"
        places |= _living(shell, process.pid)
        found = _search(places)
        process.send_signal(signal.SIGHUP)  # the daemon ends the job, and tells of its error
        process.wait(30)
        (shell.directory / "go").touch()
        out, err = process.communicate(timeout=30)
        until(lambda: shell.job("last")["state"] == "failed", "the end")
        places = _kept(shell) | {"the display": lambda: (out + err).encode()} | _told(shell)
        found += _search(places)
    finally:
        server.close()
        shell.end()
    return Verdict(
        len(PLACES), f"{len(found)} of {len(PLACES)} places hold it", [f"{place} holds it" for place in found]
    )


PLACES = (
    "the database", "its log", "other files of the store", "the output of processes", "the daemon's log", "other logs",
    "command lines", "the environment of the daemon", "files of fmsh for a while", "the display",
    "the error of the job", "what `fmsh jobs` says",
)  # fmt: skip


def _search(places: dict[str, Callable[[], bytes]]) -> list[str]:
    found = []
    for place, read in places.items():
        assert place in PLACES, place
        content = read()
        found += [f"{place} ({canary})" for canary in CANARIES if canary.encode() in content]
    return found


def _living(shell: Shell, pid: int) -> dict[str, Callable[[], bytes]]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    daemon = shell.daemon_status()["pid"]
    return {
        "command lines": lambda: b"".join(_read(f"/proc/{each}/cmdline") for each in pids),
        "the environment of the daemon": lambda: _read(f"/proc/{daemon}/environ"),
        "the output of processes": lambda: _files(shell.state / "fx"),
        "files of fmsh for a while": lambda: _files(shell.directory / "tmp"),
    }


def _kept(shell: Shell) -> dict[str, Callable[[], bytes]]:
    state = shell.state
    return {
        "the database": lambda: _read(state / "store.db"),
        "its log": lambda: _read(state / "store.db-wal"),
        "other files of the store": lambda: _read(state / "store.db-shm") + _files(state / "run"),
        "the output of processes": lambda: _files(state / "fx"),
        "the daemon's log": lambda: _read(state / "daemon.log"),
        "other logs": lambda: _read(state / "daemon.errors.log") + _read(state / "faults.log"),
    }


def _told(shell: Shell) -> dict[str, Callable[[], bytes]]:
    verbs = [("show", "last"), ("log", "last"), ("list",), ("output", "last")]
    told = [shell.run("jobs", *verb, *more) for verb in verbs for more in ([], ["--json"])]
    error = shell.run("jobs", "attach", "last")
    assert "it did not work with ••• and •••" in error.err, error
    return {
        "what `fmsh jobs` says": lambda: "".join(each.out + each.err for each in told).encode(),
        "the error of the job": lambda: (error.out + error.err).encode(),
    }


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _files(directory: Path) -> bytes:
    return b"".join(_read(path) for path in directory.rglob("*") if path.is_file())


ROWS = (Row("canary", "in 0 of 12 places", Counts(1, 1, 1), run),)
