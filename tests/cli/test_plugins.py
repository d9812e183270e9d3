"""Connectors that were plugged in, in real processes: when their package is imported, and the worked example."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing

from tests.cli.shell import ROOT, Shell, until

EXAMPLE = os.path.join(ROOT, "examples", "rows")


def plug_in(shell: Shell, name: str, package: str, path: str) -> None:
    shell.ok("config", "set", f"connectors.{name}", package)
    shell.environment["PYTHONPATH"] = os.pathsep.join([ROOT, path])


def test_a_package_is_imported_for_the_program_that_uses_it_and_no_other(shell: Shell) -> None:
    marker = shell.directory / "imported"
    (shell.directory / "noisy.py").write_text(f"open({str(marker)!r}, 'w').close()")
    plug_in(shell, "noisy", "noisy", str(shell.directory))
    shell.ok("-c", "if false { perform noisy shout }; echo quiet")
    shell.ok("--check", "-c", "perform noisy shout")
    shell.ok("--plan", "-c", "perform noisy shout {loud: true}")
    assert not marker.exists()
    refused = shell.run("-c", "perform noisy shout")
    assert refused.status == 1 and "the package noisy has no function `connector`" in refused.err
    assert marker.exists()
    caught = shell.run("-c", "try { perform nothing at-all } catch e { echo $e.kind $e.where.line }")
    assert caught.out == "plugin 1\n", caught
    assert "config.toml: [connectors] nothing" in shell.run("-c", "perform nothing at-all").err
    for wrong in ("let x = noisy; perform $x shout", "perform noisy", "1 | perform noisy shout"):
        assert shell.run("-c", wrong).status == 2
    for name, package in (("connectors.no point", "noisy"), ("connectors.http", "not a package")):
        assert shell.run("config", "set", name, package).status == 2
    assert {"name": "connectors.noisy", "value": "noisy"}.items() <= shell.json(
        "config", "get", "connectors.noisy"
    ).items()


def test_each_row_of_a_table_is_an_event_once_though_the_daemon_is_killed(shell: Shell) -> None:
    database = shell.directory / "shop.db"

    def order(*items: str) -> None:
        with closing(sqlite3.connect(database)) as shop, shop:
            shop.executemany("INSERT INTO orders (item) VALUES (?)", [(item,) for item in items])

    with closing(sqlite3.connect(database)) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)")
    plug_in(shell, "rows", "fmsh_rows", EXAMPLE)
    order("tea", "rum")
    shell.ok("-d", "--name", "orders", os.path.join(EXAMPLE, "watch.fmsh"), "shop.db")
    until(lambda: len(shell.json("events", "orders")) == 2)
    os.kill(shell.daemon_status()["pid"], signal.SIGKILL)
    order("ink")
    use = f"use {EXAMPLE}/rows.fmsh; rows insert shop.db orders {{item: nib}}"
    assert shell.ok("-c", use) == "4\n"
    shell.ok("daemon", "start")
    until(lambda: len(shell.json("events", "orders")) == 4)
    order("last")
    until(lambda: len(shell.json("events", "orders")) == 5)
    told = [event["value"] for event in shell.json("events", "orders")]
    assert [row["item"] for row in told] == ["tea", "rum", "ink", "nib", "last"]
    assert [row["rowid"] for row in told] == [1, 2, 3, 4, 5]
    assert shell.job("orders")["state"] == "running"
    shell.ok("jobs", "cancel", "orders")
    shell.await_state(1, "cancelled")
    steps = json.loads(shell.ok("jobs", "trace", "orders", "--json"))
    assert {"plugin.rows", "topic"} == {step["connector"] for step in steps}
