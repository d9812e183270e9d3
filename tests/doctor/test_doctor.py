"""`fmsh doctor` on real state directories: what it finds, advises and repairs, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from fmsh.store.migrations import CURRENT
from fmsh.store.sqlite import SqliteStore
from tests.cli.shell import Shell, a_shell, until
from tests.conformance.worlds import RUNNING, event, job

ALONE = {"FMSH_NO_DAEMON": "1"}
PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"  # without an fmsh of whoever runs the tests


@pytest.fixture
def shell() -> Iterator[Shell]:
    with a_shell() as shell:
        shell.environment["PATH"] = PLAIN_PATH
        yield shell


class Report:
    """What `fmsh doctor` found."""

    def __init__(self, shell: Shell, *arguments: str, **environment: str) -> None:
        result = shell.run("doctor", "--json", *arguments, **environment)
        self.status, self.err = result.status, result.err
        document = json.loads(result.out)
        self.is_ok: bool = document["ok"]
        self.findings: list[dict[str, Any]] = document["findings"]
        assert (self.status == 0) == self.is_ok == all(found["level"] != "error" for found in self.findings)
        for found in self.findings:
            assert set(found) - {"repaired"} == {"check", "level", "text", "advice"}
            assert found["level"] in ("ok", "note") or found["advice"], found

    def one(self, check: str, text: str = "") -> dict[str, Any]:
        """The one finding of a check with this text, or the one that is worse than ok."""
        found = [each for each in self.findings if each["check"] == check]
        chosen = [each for each in found if (text in each["text"] if text else each["level"] != "ok")]
        assert len(chosen) == 1, found
        return chosen[0]

    @property
    def troubles(self) -> list[dict[str, Any]]:
        return [found for found in self.findings if found["level"] != "ok"]


def raw(shell: Shell) -> apsw.Connection:
    connection = apsw.Connection(str(shell.state / "store.db"))
    connection.set_busy_timeout(30_000)  # a daemon may be writing
    return connection


def damage_event(shell: Shell, job_id: int, seq: int) -> None:
    connection = raw(shell)
    sql = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'event_never_changes'").fetchall()[0][0]
    connection.execute("DROP TRIGGER event_never_changes")
    connection.execute("UPDATE event SET data_json = data_json || ' ' WHERE job_id = ? AND seq = ?", (job_id, seq))
    connection.execute(str(sql))
    connection.close()


def files_of(directory: Path) -> dict[str, tuple[int, int]]:
    """The files of a tree with their sizes and modes, but what any reader of the database touches."""
    found = [path for path in directory.rglob("*") if not path.name.endswith("-shm")]
    return {str(path): (path.lstat().st_size if path.is_file() else 0, path.lstat().st_mode) for path in found}


# -- looking


def test_a_sound_state_has_nothing_but_ok(shell: Shell) -> None:
    shell.ok("-c", "echo a; sh -c 'echo b'", **ALONE)
    before = files_of(shell.directory)
    report = Report(shell)
    assert report.troubles == [] and report.is_ok
    checks = ["versions", "config", "state", "disk", "permissions", "store", "integrity", "log", "clock", "locks"]
    assert [found["check"] for found in report.findings] == [*checks, "socket", "daemon", "jobs", "leftovers"]
    assert files_of(shell.directory) == before
    assert report.one("store", "1 job")["level"] == "ok"


def test_looking_makes_nothing_where_there_is_nothing(shell: Shell) -> None:
    for arguments in ([], ["--repair"]):
        report = Report(shell, *arguments)
        assert [found["check"] for found in report.troubles] == ["state", "store"]
        assert {found["level"] for found in report.troubles} == {"note"}
        assert list(shell.directory.iterdir()) == []


def test_people_read_the_same_with_the_advice_below(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    (shell.state / "run" / ("0" * 32 + ".lock")).touch()
    result = shell.run("doctor")
    assert result.status == 0 and result.err == ""
    lines = result.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("note     locks"))
    assert "1 process that died left files" in lines[at] and "--repair" in lines[at + 1]
    repaired = shell.ok("doctor", "--repair")
    assert "repaired: they were removed" in repaired
    narrow = shell.run("doctor", COLUMNS="60").out
    assert all(len(line) <= 60 for line in narrow.splitlines()) and len(narrow.splitlines()) > len(lines)


def test_wrong_arguments_and_help(shell: Shell) -> None:
    assert "--repair" in shell.ok("doctor", "--help")
    result = shell.run("doctor", "--odd")
    assert result.status == 2 and "does not take --odd" in result.err


# -- the store


def test_damage_is_told_with_the_job_that_it_hurts(shell: Shell) -> None:
    for text in ("echo a", "echo b"):
        shell.ok("-c", text, **ALONE)
    damage_event(shell, 2, 1)
    for arguments in ([], ["--repair"]):
        report = Report(shell, *arguments)
        found = report.one("integrity")
        assert (found["level"], found["text"]) == ("error", "event 1 of job 2 is not what was written")
        assert "fmsh jobs rm 2" in found["advice"] and report.status == 1


def test_what_is_no_database_is_an_error_and_the_rest_is_looked_at(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    for name in ("store.db", "store.db-wal"):
        (shell.state / name).write_bytes(b"this is no database " * 1000)
    report = Report(shell, "--repair")
    assert report.one("store")["level"] == "error" and "backup" in report.one("store")["advice"]
    assert {"disk", "permissions", "socket", "daemon"} <= {found["check"] for found in report.findings}


def test_a_store_of_another_version_is_told_and_left_as_it_is(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    for version, level in ((CURRENT.version + 1, "error"), (CURRENT.version - 1, "note")):
        connection = raw(shell)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        report = Report(shell, "--repair")
        assert report.one("store")["level"] == level
        assert f"has schema {version}, and this fmsh knows schema {CURRENT.version}" in report.one("store")["text"]
        assert not [found for found in report.findings if found["check"] in ("integrity", "jobs")]
    assert not [path for path in shell.state.iterdir() if "backup" in path.name]


def test_indexes_and_triggers_are_made_anew(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    connection = raw(shell)
    connection.execute("DROP INDEX job_due; DROP TRIGGER event_never_changes").fetchall()
    connection.close()
    found = Report(shell).one("integrity")
    assert found["level"] == "warning" and found["text"].startswith("2 faults in what is made from the jobs")
    report = Report(shell, "--repair")
    assert report.one("integrity")["repaired"] == "all indexes and triggers were made anew"
    assert report.one("integrity", "as they were written")["level"] == "ok"
    assert Report(shell).troubles == []


def test_a_long_log_is_copied_into_the_store(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    log = shell.state / "store.db-wal"
    os.truncate(log, 70 << 20)
    assert Report(shell).one("log")["level"] == "warning"
    assert "has 0 bytes now" in Report(shell, "--repair").one("log")["repaired"]
    assert log.stat().st_size == 0 and Report(shell).troubles == []
    assert shell.ok("-c", "echo b", **ALONE) == "b\n"


def test_old_backups_are_named_and_unfinished_ones_removed(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    old, begun = shell.state / "store.db.backup-v1", shell.state / "store.db.backup-v2.new"
    for path in (old, begun):
        path.write_text("")
        path.chmod(0o600)
    assert Report(shell).troubles == []
    for path in (old, begun):
        os.utime(path, (1, 1))
    report = Report(shell)
    assert f"rm {old}" in report.one("backups", "days old")["advice"]
    assert Report(shell, "--repair").one("backups", "cut short")["repaired"] == "it was removed"
    assert old.exists() and not begun.exists()


def test_a_clock_that_lies_in_the_past_of_the_store_is_told(shell: Shell) -> None:
    store = SqliteStore.open(str(shell.state), kind="shell")
    later = event("JobStarted").replace(at_ms=int((time.time() + 3600) * 1000))
    store.create_job(job(), [later], RUNNING.replace(state="paused"), lease=False)
    store.close()
    found = Report(shell).one("clock")
    assert found["level"] == "warning" and "it was set back" in found["text"]


def test_a_gate_that_is_kept_locked_is_named(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    import fcntl

    with open(shell.state / "store.gate") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        found = Report(shell).one("store", "kept the store locked")
    assert found["level"] == "error" and f"process {os.getpid()}" in found["text"]


# -- places


def test_what_others_can_read_is_told_and_closed(shell: Shell) -> None:
    shell.ok("-c", "sh -c 'echo a'", **ALONE)
    key = shell.state / "secret.key"
    key.write_text("")
    wide = {shell.state: 0o755, shell.state / "run": 0o750, shell.state / "store.db": 0o644, key: 0o604}
    for path, mode in wide.items():
        path.chmod(mode)
    report = Report(shell)
    assert {found["text"].split()[3] for found in report.troubles} == {str(path) for path in wide}
    assert {found["level"] for found in report.troubles} == {"warning", "error"} and report.status == 1
    repaired = Report(shell, "--repair")
    assert repaired.status == 0 and len([found for found in repaired.findings if "repaired" in found]) == 4
    assert [path.stat().st_mode & 0o777 for path in wide] == [0o700, 0o700, 0o600, 0o600]


def test_settings_that_others_can_change_are_told(shell: Shell) -> None:
    config = shell.directory / "config"
    config.mkdir(mode=0o700)
    (config / "config.toml").write_text("")
    (config / "config.toml").chmod(0o666)
    found = Report(shell).one("permissions")
    assert "others can change" in found["text"] and "chmod 644" in found["advice"]


def test_settings_that_cannot_be_read_are_an_error_and_everything_else_is_looked_at(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    (shell.directory / "config").mkdir()
    (shell.directory / "config" / "config.toml").write_text("no = such = toml\n")
    report = Report(shell)
    assert "is not TOML" in report.one("config")["text"] and report.status == 1
    assert report.one("integrity", "as they were written")


def test_a_disk_that_is_full_is_told(shell: Shell) -> None:
    shell.state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", shell.state], capture_output=True).returncode:
        pytest.skip("no disk of our own can be mounted here")
    try:
        shell.ok("-c", "echo a", **ALONE)
        report = Report(shell)
        assert report.one("disk")["level"] == "warning" and report.is_ok
        room = os.statvfs(shell.state).f_bavail * 4096
        with open(shell.state / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, room)
        report = Report(shell, "--repair")
        assert report.one("disk")["level"] == "error" and "nothing new begins" in report.one("disk")["text"]
        assert report.one("integrity", "as they were written")
    finally:
        subprocess.run(["umount", shell.state], check=True)


def test_another_fmsh_that_is_installed_is_told(shell: Shell) -> None:
    (shell.directory / "fmsh").write_text("#!/bin/sh\necho fmsh 0.0.9\n")
    (shell.directory / "fmsh").chmod(0o755)
    found = Report(shell, PATH=f"{shell.directory}:{PLAIN_PATH}").one("versions")
    assert found["level"] == "warning" and "is fmsh 0.0.9, and this is fmsh" in found["text"]


# -- processes


def test_files_of_the_dead_are_removed_and_those_of_the_living_stay(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    living = SqliteStore.open(str(shell.state), kind="shell")
    living.create_job(job(), [event("JobStarted")], RUNNING, lease=True)
    run = shell.state / "run"
    dead = [run / ("1" * 32 + ".lock"), run / ("1" * 32 + ".sock"), run / ("2" * 32 + ".sock")]
    other = run / "control.sock.lock"
    for path in (*dead, other):
        path.touch(mode=0o600)
    report = Report(shell)
    assert report.one("locks", f"shell {os.getpid()}")["level"] == "ok"
    assert "2 processes that died" in report.one("locks", "left files")["text"]
    assert Report(shell, "--repair").one("locks", "left files")["repaired"] == "they were removed"
    assert not any(path.exists() for path in dead) and other.exists()
    assert (run / f"{living.owner.id}.lock").exists()
    living.close()


def test_a_socket_that_a_dead_daemon_left_is_removed_and_anything_else_in_its_place_is_not(shell: Shell) -> None:
    runtime = shell.directory / "r"
    runtime.mkdir(mode=0o700)
    path = runtime / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    assert "left by a daemon that died" in Report(shell).one("socket")["text"]
    assert Report(shell, "--repair").one("socket")["repaired"] == "it was removed" and not path.exists()
    path.write_text("a file")
    report = Report(shell, "--repair")
    assert report.one("socket")["level"] == "error" and path.read_text() == "a file"


def test_a_living_daemon_is_asked_and_its_socket_watched(shell: Shell) -> None:
    started = json.loads(shell.ok("daemon", "start", "--json"))
    report = Report(shell, "--repair")
    assert report.troubles == [] and f"process {started['pid']}" in report.one("daemon", "runs as")["text"]
    (shell.directory / "r" / "control.sock").chmod(0o666)
    assert Report(shell).one("socket")["level"] == "error"
    assert Report(shell, "--repair").one("socket")["repaired"] == "its mode is 0600 now"
    os.kill(started["pid"], signal.SIGSTOP)
    try:
        report = Report(shell, "--repair")
    finally:
        os.kill(started["pid"], signal.SIGCONT)
    assert report.one("daemon")["level"] == "error" and "does not answer" in report.one("daemon")["text"]
    assert json.loads(shell.ok("daemon", "status", "--json"))["pid"] == started["pid"]


OLDER = "import fmsh, sys; fmsh.__version__ = '0.0.1'; from fmsh.cli import run; sys.exit(run(['daemon', 'run']))"


def test_a_daemon_of_another_version_is_told(shell: Shell) -> None:
    command = [sys.executable, "-c", OLDER]
    process = subprocess.Popen(command, env=shell.environment, stdin=subprocess.DEVNULL)
    try:
        until(lambda: shell.daemon_status()["running"], "the daemon")
        found = Report(shell).one("daemon")
        assert found["level"] == "warning" and "is fmsh 0.0.1, and this is" in found["text"]
        assert "fmsh daemon stop" in found["advice"]
    finally:
        process.terminate()
        process.wait()


# -- jobs


def test_jobs_that_nobody_runs_and_jobs_that_need_a_person_are_told(shell: Shell) -> None:
    shell.ok("-d", "-c", "sleep 1h")
    shell.ok("-d", "-c", "undo { fail 'no way back' }; fail first")
    shell.await_state(2, "parked")
    shell.await_state(1, "waiting")
    shell.ok("daemon", "stop")
    report = Report(shell, **ALONE)
    found = report.one("daemon")
    assert found["level"] == "warning" and "nobody runs 1 job (1)" in found["text"]
    assert "FMSH_NO_DAEMON" in found["advice"] and "fmsh daemon start" in Report(shell).one("daemon")["advice"]
    found = report.one("jobs")
    assert found["level"] == "warning" and found["text"].startswith("job 2 is parked: ")
    assert "fmsh jobs show 2" in found["advice"] and report.is_ok


def test_files_of_jobs_that_are_gone_are_removed_when_they_have_lain_there_for_a_while(shell: Shell) -> None:
    shell.ok("-c", "echo a", **ALONE)
    fx, uid = shell.state / "fx", shell.job(1)["uid"]
    fx.mkdir(mode=0o700, exist_ok=True)
    for name in ("gone", "new", uid):
        (fx / name / "1-1").mkdir(parents=True, mode=0o700)
        (fx / name / "1-1" / "out").write_text("output")
    for path in (fx / "gone", fx / uid):
        os.utime(path, (1, 1))
    assert "files of 1 job that the store does not have" in Report(shell).one("leftovers")["text"]
    assert "they were removed" in Report(shell, "--repair").one("leftovers")["repaired"]
    assert sorted(os.listdir(fx)) == sorted([uid, "new"])
