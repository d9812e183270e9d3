"""The daemon's own retention: by itself, again and again, and not while the settings are broken."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from fmsh.daemon.keeping import Keeper
from fmsh.store.base import Summary
from fmsh.store.sqlite import SqliteStore
from tests.cli.shell import until
from tests.conformance.worlds import commit, start


def ended(store: SqliteStore, uid: str, days_ago: float) -> int:
    lease = start(store, uid)
    at_ms = int((time.time() - days_ago * 86400) * 1000)
    commit(store, lease, "JobEnded", summary=Summary("succeeded", ended_at_ms=at_ms))
    return lease.job_id


def test_it_sweeps_by_itself_and_reads_the_settings_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMSH_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("FMSH_STATE_DIR", str(tmp_path / "state"))
    store = SqliteStore.open(str(tmp_path / "state"), kind="daemon")
    logged: list[tuple[str, dict[str, Any]]] = []
    keeper = Keeper(
        store.reopen,
        str(tmp_path / "state" / "fx"),
        lambda event, **fields: logged.append((event, fields)),
        first_after_s=0.01,
        interval_s=0.02,
    )
    old, recent = ended(store, "old", 31), ended(store, "recent", 2)
    config = tmp_path / "config.toml"
    try:
        keeper.start()
        until(lambda: store.job(old) is None, "the first sweep")
        until(lambda: logged, "its line in the log")
        assert logged[0][0] == "retention" and logged[0][1]["jobs"] == 1 and store.job(recent) is not None
        config.write_text("[retention]\nhistory = 1\n")
        until(lambda: logged[-1][0] == "retention failed", "the complaint")
        assert "retention.history must be a duration" in logged[-1][1]["message"]
        (tmp_path / "new").write_text('[retention]\nhistory = "1d"\n')
        os.rename(tmp_path / "new", config)
        until(lambda: store.job(recent) is None, "the sweep under the new setting")
    finally:
        keeper.stop(10.0)
        store.close()
