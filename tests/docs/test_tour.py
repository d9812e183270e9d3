"""The tour is as its page says, at a real prompt, and so are its pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.slow
def test_each_step_and_picture_of_the_tour_is_as_the_page_says() -> None:
    command = [sys.executable, str(DOCS / "pictures.py"), "--check"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_picture_is_in_the_page() -> None:
    page = (DOCS / "tour.md").read_text(encoding="utf-8")
    pictures = sorted(path.name for path in (DOCS / "pictures").iterdir())
    assert pictures and all(f"(pictures/{name})" in page for name in pictures)
