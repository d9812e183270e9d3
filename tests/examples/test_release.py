"""What the README says of the example is so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join(ROOT, "examples", "release")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs it with the fmsh that is being tested, and none of the tester's own jobs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FMSH_")}
    environment |= {"PYTHONPATH": ROOT, "PYTHON": sys.executable}
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170
    )


def _lines_in_order(text: str, *starts: str) -> None:
    lines = iter(text.splitlines())
    for start in starts:
        assert any(line.startswith(start) for line in lines), f"no line {start!r} where it belongs in:\n{text}"


@pytest.mark.slow
def test_a_release_goes_well_and_shows_each_step() -> None:
    done = _run(sys.executable, os.path.join(EXAMPLE, "run.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    _lines_in_order(
        done.stdout,
        "packing api 1.4.0",
        "  packing licenses",
        "packed, checksum ",
        "build 1 is asked for",
        "build 1 passed",
        "rolled out 1.4.0 (it was 1.0.0)",
        "api 1.4.0 is live",
    )


@pytest.mark.slow
def test_a_release_that_shows_errors_is_rolled_back() -> None:
    done = _run(sys.executable, os.path.join(EXAMPLE, "run.py"), "--version", "2.0.0-leaky")
    assert done.returncode == 1, done.stdout + done.stderr
    _lines_in_order(done.stdout, "rolled out 2.0.0-leaky (it was 1.0.0)", "rolling back to 1.0.0")
    assert "1 series over 1% errors" in done.stderr


@pytest.mark.slow
def test_a_release_whose_build_fails_is_not_rolled_out() -> None:
    done = _run(sys.executable, os.path.join(EXAMPLE, "run.py"), "--version", "2.0.0-broken")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "build 1 ended failed: 2 of 310 tests failed" in done.stderr
    assert "rolled out" not in done.stdout


@pytest.mark.slow
def test_killed_in_mid_request_mid_process_and_mid_wait_a_release_is_still_done_once() -> None:
    done = _run("bash", os.path.join(EXAMPLE, "crash.sh"))
    assert done.returncode == 0, done.stdout + done.stderr
    _lines_in_order(done.stdout, "--- killed in request", "--- killed in process", "--- killed in wait")
