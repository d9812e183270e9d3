"""Every page of help says what it is about, has an example that is right, and fits a terminal of 80 columns."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fmsh import cli
from fmsh.assembly import LIBRARY, make_program
from fmsh.jobs.command import VERBS
from fmsh.lang import pages
from fmsh.lang.examples import EXAMPLES
from fmsh.lang.keywords import KEYWORDS
from fmsh.lang.subjects import SUBJECTS
from fmsh.render.cells import width
from fmsh.shell import help
from fmsh.spans import Source

COLUMNS = 80
COMMANDS = ("daemon", "on", "publish", "events", "secret", "test", "fmt", "config", "doctor", "help", "completion")
NAMES = [*pages.names(LIBRARY), *KEYWORDS]


def page(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.run([*arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "RUNTIME", "CONFIG"):
        monkeypatch.setenv(f"FMSH_{name}_DIR", str(tmp_path / name))
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def assert_fits(text: str) -> None:
    too_long = [line for line in text.splitlines() if width(line) > COLUMNS]
    assert text.endswith("\n") and not too_long, too_long


@pytest.mark.parametrize("arguments", [[], ["jobs"], *(["jobs", verb] for verb in VERBS), *([c] for c in COMMANDS)])
def test_a_page_of_the_command_line_fits_and_has_an_example(
    capsys: pytest.CaptureFixture[str], arguments: list[str], tmp_path: Path
) -> None:
    text = page(capsys, *arguments, "--help")
    assert_fits(text)
    assert text.startswith(f"usage: fmsh {' '.join(arguments)}".rstrip())
    assert "xample" in text or arguments == ["jobs"]
    assert page(capsys, *arguments, "-h") == text
    assert os.listdir(tmp_path) == [], "help made something"


def test_the_first_page_names_every_command_and_the_page_of_jobs_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    first, jobs = page(capsys, "--help"), page(capsys, "jobs", "--help")
    assert [name for name in (*COMMANDS, "jobs") if f"\n  {name} " not in first] == []
    assert [verb for verb in VERBS if verb not in first.split() or f"\n    {verb} " not in jobs] == []


def test_help_is_a_document_for_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(page(capsys, "help", "--json"))
    assert {"name": "where", "summary": pages.first_line("where", LIBRARY)} in listed
    one = json.loads(page(capsys, "help", "str", "replace", "--json"))
    assert one == {"name": "str replace", "text": help.text(["str", "replace"])}


def test_each_command_is_named_once_by_its_subject_and_in_a_line_on_the_page_of_that() -> None:
    named = [name for names in SUBJECTS.values() for name in names]
    assert sorted(named) == sorted(pages.names(LIBRARY))
    overview = help.text([])
    for subject, names in {**SUBJECTS, "statements": list(KEYWORDS)}.items():
        assert f"\n{subject} " in f"\n{overview}"
        assert [
            line[: pages.NAME_CELLS].strip() for line in help.text([subject]).splitlines() if line[:1] != " "
        ] == names
    assert "\nprompt       jobs fg " in overview


def test_the_page_of_a_command_of_the_language_fits_and_has_an_example() -> None:
    assert_fits(help.text([]))
    for name in NAMES:
        text = help.text(name.split())
        assert_fits(text)
        assert ("\n> " in text) != ("\nFor example:\n" in text), name


def test_every_example_is_a_program_without_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("release.fmsh").write_text("def next(version: any) { $version }\n")
    assert set(EXAMPLES) <= set(NAMES)
    for example in set(EXAMPLES.values()):
        make_program(Source("example", example + "\n"))


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("deamon", "did you mean `fmsh daemon`?"),
        ("docter", "did you mean `fmsh doctor`?"),
        ("xyzzy", "see fmsh --help"),
    ],
)
def test_a_word_that_is_neither_command_nor_file_is_told_with_what_was_meant(
    capsys: pytest.CaptureFixture[str], word: str, hint: str
) -> None:
    assert cli.run([word, "status"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"fmsh: fmsh has no command {word}, and there is no file of that name\n")
    assert hint in err
