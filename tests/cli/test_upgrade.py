"""A newer fmsh migrates a store that a daemon and a shell of an older one have open."""

from __future__ import annotations

import json

from fmsh.store.sqlite import SqliteStore
from tests.cli.shell import Shell, until
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
