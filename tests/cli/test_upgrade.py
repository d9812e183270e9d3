"""A newer fmsh migrates a store that a daemon and a shell of an older one have open."""

from __future__ import annotations

import json
import os
import shutil

from fmsh import __version__
from fmsh.store.sqlite import SqliteStore
from tests.cli.shell import ROOT, Shell, until
from tests.store.processes import NEWER


def migrate(shell: Shell) -> SqliteStore:
    return SqliteStore.open(str(shell.state), kind="shell", schema=NEWER)


def logged(shell: Shell) -> list[str]:
    return [json.loads(line)["event"] for line in (shell.file("state/daemon.log") or "").splitlines()]


def test_an_older_daemon_ends_and_leaves_its_jobs_to_the_newer_one(shell: Shell) -> None:
    """The daemon becomes the fmsh that is installed, which here is the old one again: that cannot open the store."""
    shell.ok("-d", "-c", "sh -c 'echo > begun; sleep 600'")
    shell.await_file("begun")
    daemon = shell.daemon_status()
    store = migrate(shell)
    until(lambda: not shell.daemon_status()["running"], "the end of the older daemon")
    until(lambda: "schema" in (shell.file("state/daemon.errors.log") or ""), "what the daemon says of it")
    assert logged(shell) == ["started", "outdated", "stopped"]
    until(lambda: daemon["pid"] not in [owner.pid for owner in store.owners() if store.is_alive(owner.id)])
    assert store.reap() == [1] and store.acquire(1) is not None
    store.close()
    for arguments in (["-c", "echo > after"], ["jobs", "list"], ["daemon", "start"], ["-d", "-c", "echo > after"]):
        result = shell.run(*arguments)
        said = f"{shell.state}/store.db has schema {NEWER.version}"
        assert said in result.err and "Use the newer fmsh" in result.err, result
        assert result.status == 75, result
    assert shell.file("after") is None


def other_version(shell: Shell, version: str) -> dict[str, str]:
    """The environment of an fmsh that calls itself so, and is else ours."""
    package = shell.directory / version / "fmsh"
    package.mkdir(parents=True)
    for name in os.listdir(f"{ROOT}/fmsh"):
        if name not in ("__init__.py", "__pycache__"):
            (package / name).symlink_to(f"{ROOT}/fmsh/{name}")
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    return {"PYTHONPATH": str(package.parent)}


def test_the_daemon_of_an_older_fmsh_is_replaced_and_its_jobs_go_on(shell: Shell) -> None:
    """The schema is the same; a newer daemon serves an older command line."""
    older = other_version(shell, "0.0.9")
    shell.ok("-d", "-c", "for x in (inbox go) { print $x; break }", **older)
    shell.ok("-d", "-c", "sh -c 'echo ran >> ran; until [ -e go ]; do sleep 0.02; done'", **older)
    shell.await_file("ran")
    before = shell.daemon_status()
    assert before["version"] == "0.0.9"
    shell.ok("-d", "-c", "print (callback).url")
    now = shell.daemon_status()
    assert now["version"] == __version__ and now["pid"] != before["pid"] and now["listen"] == before["listen"]
    shell.ok("-d", "-c", "true", **older)
    assert shell.daemon_status() | {"jobs": {}} == now | {"jobs": {}}
    shell.ok("jobs", "signal", "1", "go", '"on"')
    (shell.directory / "go").touch()
    shell.ok("jobs", "wait", "1", "2")
    assert shell.ok("jobs", "output", "1") == "on\n" and shell.file("ran") == "ran\n"
    shell.ok("daemon", "stop")
    shell.ok("daemon", "start", **older)
    number = shell.ok("-d", "-c", "sleep 1h", **older).strip()
    assert shell.daemon_status()["version"] == "0.0.9"
    until(lambda: shell.job(number)["owner"] is None, "that it leaves the daemon's memory")
    shell.ok("jobs", "cancel", number)
    until(lambda: shell.daemon_status()["version"] == __version__ and shell.daemon_status()["running"], "ours")
    shell.await_state(int(number), "cancelled")


def test_an_older_shell_starts_nothing_more_and_leaves_its_job_to_the_newer_one(shell: Shell) -> None:
    process = shell.start("-c", "sh -c 'echo > begun; sleep 1'; sh -c 'echo > second'", environment=ALONE)
    shell.await_file("begun")
    store = migrate(shell)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 75 and f"has schema {NEWER.version}" in said
    assert shell.file("second") is None
    assert store.reap() == [1] and store.acquire(1) is not None
    store.close()


ALONE = {"FMSH_NO_DAEMON": "1"}


def test_a_daemon_whose_store_was_removed_gives_way_to_one_of_the_store_that_is_there(shell: Shell) -> None:
    shell.ok("daemon", "start")
    before = shell.daemon_status()["pid"]
    shutil.rmtree(shell.state)
    number = shell.ok("-d", "-c", "print here").strip()
    assert shell.ok("jobs", "wait", number) is not None and shell.ok("jobs", "output", number) == "here\n"
    assert shell.daemon_status()["pid"] != before


def test_a_job_is_not_left_to_a_daemon_that_serves_another_store(shell: Shell) -> None:
    shell.ok("daemon", "start")
    other = {"FMSH_STATE_DIR": str(shell.directory / "other")}
    for arguments in (["-d", "-c", "print here"], ["-c", "print here &"], ["daemon", "start"]):
        refused = shell.run(*arguments, **other)
        assert f"serves the store in {shell.state}, not that in" in refused.err, refused
        assert "Set FMSH_RUNTIME_DIR, too" in refused.err, refused
        assert refused.status != 0 or arguments[0] == "-c", refused
    assert shell.ok("-c", "print here", **other) == "here\n"
    own = other | {"FMSH_RUNTIME_DIR": str(shell.directory / "other_r")}
    try:
        shell.ok("jobs", "wait", shell.ok("-d", "-c", "print here", **own).strip(), **own)
    finally:
        shell.run("daemon", "stop", **own)
