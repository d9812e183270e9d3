"""What is installed is whole: the files that are not Python come along."""

from __future__ import annotations

import os
import zipfile

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def test_a_wheel_holds_every_file_that_is_read_at_run_time(tmp_path: os.PathLike[str]) -> None:
    wheel = next(WheelBuilder(ROOT).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    for top in ("fmsh", "stdlib", "completions"):
        for directory, _, files in os.walk(os.path.join(ROOT, top)):
            for file in files:
                path = os.path.relpath(os.path.join(directory, file), ROOT)
                inside = path if top == "fmsh" else f"fmsh/{path}"
                if top == "completions" or file.endswith((".sql", ".lark", ".fmsh", ".py", ".json")):
                    assert inside in held, f"{path} is not in the wheel"


@pytest.mark.parametrize("name", ["fmsh"])
def test_the_console_script_is_declared(name: str, tmp_path: os.PathLike[str]) -> None:
    wheel = next(WheelBuilder(ROOT).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = [path for path in archive.namelist() if path.endswith("entry_points.txt")]
        assert f"{name} = fmsh.__main__:main" in archive.read(entry).decode()
