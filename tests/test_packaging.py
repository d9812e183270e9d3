"""What is installed is whole: the files that are not Python come along."""

from __future__ import annotations

import os
import tarfile
import zipfile

from hatchling.builders.sdist import SdistBuilder
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


def test_the_command_runs_with_the_interpreter_of_its_environment(tmp_path: os.PathLike[str]) -> None:
    wheel = next(WheelBuilder(ROOT).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        (script,) = [path for path in archive.namelist() if path.endswith(".data/scripts/fmsh")]
        assert archive.read(script).startswith(b"#!python\n")  # installers put their interpreter here


def test_a_source_distribution_holds_the_command(tmp_path: os.PathLike[str]) -> None:
    archive = next(SdistBuilder(ROOT).build(directory=str(tmp_path)))
    with tarfile.open(archive) as files:
        assert any(name.endswith("/scripts/fmsh") for name in files.getnames())
