"""One store with a job in every state, made by real processes, and `fmsh jobs` run on it within the test's own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fmsh.assembly import load_program
from fmsh.store.sqlite import SqliteStore
from tests.cli.damaging import damage
from tests.cli.shell import Shell, a_shell, until
from tests.jobs.stories import Screen

WAITING = """\
let s = secret TOKEN
let said = "Bearer $s"
def nap(name: string) {
  let inner = {name: $name, tags: [a, b]}
  sleep 500w
}
let double = { |x| $x * 2 }
nap api
"""
BRANCHES = """\
let shared = 7
parallel { sleep 500w } { let own = 1; within 499w { sleep 501w } }
"""
FAILED = """\
def check(n: int) { if $n > 2 { fail "too many: $n" } }
let count = 3
let made = sh -c 'echo x'
check $count
"""
PARKED = "let before = 5\nonce { sh -c 'echo $$ $PPID > pids; exec sleep 600' }\n"
TEXTS = {
    "waiting": WAITING,
    "branches": BRANCHES,
    "running": "let n = 1\nsh -c 'exec sleep 600'\n",
    "paused": "let n = 2\nsleep 500w\n",
    "parked": PARKED,
    "succeeded": "let a = sh -c 'echo one'\nprint $a\n{a: $a}\n",
    "failed": FAILED,
    "cancelled": "defer { print cleaned }\nlet n = 3\nsleep 500w\n",
    "damaged": "print hello\nsh -c true\nsleep 500w\n",
}
LEFT = {"waiting": "waiting", "branches": "waiting", "running": "running", "paused": "waiting", "parked": "parked"}
LEFT |= {"succeeded": "succeeded", "failed": "failed", "cancelled": "waiting", "damaged": "waiting"}


class Crew:
    """The jobs by name, and a screen to look at them."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.numbers = {name: number for number, name in enumerate(TEXTS, 1)}
        shell.run("secret", "set", "TOKEN", input="hush")
        shell.ok("daemon", "start")
        for name, text in TEXTS.items():
            shell.ok("-d", "--name", name, "--tag", f"is={name}", shell.script(text, f"{name}.fmsh"))
        group = int(shell.await_file("pids").split()[1])
        os.killpg(os.getpgid(group), signal.SIGKILL)
        for name, state in LEFT.items():
            shell.await_state(self.numbers[name], state)
        shell.ok("jobs", "pause", "paused")
        shell.ok("jobs", "cancel", "cancelled")
        shell.await_state(self.numbers["paused"], "paused")
        shell.await_state(self.numbers["cancelled"], "cancelled")
        self.store = SqliteStore.open(str(shell.state), kind="shell")
        self.screen = Screen(self.store, str(shell.state / "fx"))
        until(lambda: self._owner("damaged") is None, "what waits without an owner, who would save what he remembers")
        damage(shell, self.numbers["damaged"])

    def _owner(self, name: str) -> str | None:
        job = self.store.job(self.numbers[name])
        assert job is not None
        return job.owner_id

    def run(self, *arguments: str, **options: Any) -> int:
        return self.screen.run(*arguments, load_program=load_program, **options)

    def ok(self, *arguments: str) -> str:
        assert self.run(*arguments) == 0, (self.screen.out, self.screen.err)
        return self.screen.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))


@contextmanager
def a_crew() -> Iterator[Crew]:
    with a_shell() as shell:
        crew = Crew(shell)
        try:
            yield crew
        finally:
            crew.store.close()
