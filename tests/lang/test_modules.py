"""A program and its modules are stored together, and loaded as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmsh.assembly import check, load_program, make_program
from fmsh.errors import SourceError
from fmsh.spans import Source

MAIN = "use ./sub/lib.fmsh\nlib one\n"
LIB = "use ./other.fmsh *\ndef one() { two }\n"
OTHER = 'def two() { fail "deep" }\n'


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/lib.fmsh").write_text(LIB)
    (tmp_path / "sub/other.fmsh").write_text(OTHER)
    return Source("main.fmsh", MAIN)


def test_a_stored_program_carries_its_modules(main: Source, tmp_path: Path) -> None:
    stored, program = make_program(main)
    for path in ("sub/lib.fmsh", "sub/other.fmsh"):
        (tmp_path / path).unlink()
    loaded = load_program(stored)
    assert [unit.source for unit in loaded.units] == [unit.source for unit in program.units]
    assert [unit.source.name for unit in loaded.units] == ["main.fmsh", "sub/lib.fmsh", "sub/other.fmsh"]
    assert [unit.first_node for unit in loaded.units] == [unit.first_node for unit in program.units]
    assert loaded.codes.keys() == program.codes.keys()
    for id, code in program.codes.items():
        assert loaded.codes[id].slots == code.slots
        assert [each[:2] for each in loaded.codes[id].instructions] == [each[:2] for each in code.instructions]


def test_every_node_is_found_in_its_own_file(main: Source) -> None:
    program = make_program(main)[1]
    for code in program.codes.values():
        for _operation, node, *_operands in code.instructions:
            source, span = program.span(node)
            assert 0 <= span[0] <= span[1] <= len(source.text)
    files = {program.place(code.id)["file"] for code in program.codes.values() if code.name}
    assert files == {"sub/lib.fmsh", "sub/other.fmsh"}


def test_another_text_of_a_module_is_another_program(main: Source, tmp_path: Path) -> None:
    first, again = make_program(main)[0], make_program(main)[0]
    (tmp_path / "sub/other.fmsh").write_text(OTHER + "# changed\n")
    assert first.hash == again.hash != make_program(main)[0].hash


def test_a_program_without_modules_is_stored_as_ever() -> None:
    assert json.loads(make_program(Source("-c", "echo use"))[0].tree_json)[0] == 1


def test_all_problems_of_all_files_are_told(main: Source, tmp_path: Path) -> None:
    (tmp_path / "sub/other.fmsh").write_text("def two() { $nothing; 1; 2 }\n")
    problems = check(Source("main.fmsh", MAIN + "lib none\n")).problems
    told = {(problem.source.name, problem.severity) for problem in problems}
    assert told == {("main.fmsh", "error"), ("sub/other.fmsh", "error"), ("sub/other.fmsh", "warning")}


def test_text_that_is_not_utf8_is_told_at_the_use(main: Source, tmp_path: Path) -> None:
    (tmp_path / "sub/lib.fmsh").write_bytes(b"\xff")
    with pytest.raises(SourceError, match="not UTF-8") as problem:
        make_program(main)
    assert problem.value.diagnostics[0].source is main
