"""The check at the end of `crash.sh` finds what it is there to find."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("release_log", os.path.join(ROOT, "examples", "release", "log.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _request(method: str, path: str, *, key: str | None = None, to: str = "deploy") -> dict[str, Any]:
    return {"to": to, "method": method, "path": path, "key": key, "body": {"service": "api"}, "status": 200}


GOOD: dict[str, Any] = {
    "requests": [_request("POST", "/builds", key="k", to="ci")] * 2 + [_request("PUT", "/services/api")],
    "builds": [{"id": 1, "service": "api"}],
    "callbacks": [{"build": 1, "status": "refused"}, {"build": 1, "status": 202}],
}


def _complaints(tmp_path: Path, log: dict[str, Any], *, runs: int = 1) -> list[str]:
    (tmp_path / "api-1.runs").write_text("1\n" * runs)
    return list(_module().complaints(log, str(tmp_path), ["api"]))


def test_a_release_done_once_is_fine(tmp_path: Path) -> None:
    assert _complaints(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda log: log["builds"].append({"id": 2, "service": "api"}), "api was built 2 times"),
        (lambda log: log["builds"].clear(), "api was built 0 times"),
        (lambda log: log["requests"].pop(), "api was not rolled out"),
        (lambda log: log["callbacks"].pop(), "the callback for api was taken 0 times"),
        (lambda log: log["requests"][0].update(key="l"), "POST of api to ci: repeated with different keys"),
        (lambda log: log["requests"][0].update(key=None), "POST of api to ci: no key"),
    ],
)
def test_what_was_done_twice_or_not_at_all_is_found(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    log = deepcopy(GOOD)
    log["requests"] = [dict(entry) for entry in log["requests"]]
    change(log)
    assert complaint in _complaints(tmp_path, log)


def test_a_program_that_ran_twice_is_found(tmp_path: Path) -> None:
    assert _complaints(tmp_path, GOOD, runs=2) == ["api was packed 2 times"]
