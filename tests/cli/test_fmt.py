"""`fmsh fmt`: files get their layout in one move, or are left as they are."""

from __future__ import annotations

import json
import os

from tests.cli.shell import Shell

LOOSE = "let  x=1 ;echo $x # why\n"
LAID_OUT = "let x = 1\necho $x  # why\n"


def test_a_file_is_replaced_and_keeps_its_mode(shell: Shell) -> None:
    file = shell.directory / shell.script(LOOSE)
    file.chmod(0o751)
    assert shell.ok("fmt", "script.fmsh") == ""
    assert file.read_text() == LAID_OUT and file.stat().st_mode & 0o7777 == 0o751
    assert os.listdir(shell.directory).count("script.fmsh") == 1 and not list(shell.directory.glob(".fmsh*"))


def test_a_link_is_followed(shell: Shell) -> None:
    (shell.directory / "there").mkdir()
    file = shell.directory / shell.script(LOOSE, "there/script.fmsh")
    (shell.directory / "link.fmsh").symlink_to(file)
    shell.ok("fmt", "link.fmsh")
    assert (shell.directory / "link.fmsh").is_symlink() and file.read_text() == LAID_OUT


def test_a_file_that_stands_as_it_should_is_not_touched(shell: Shell) -> None:
    file = shell.directory / shell.script(LAID_OUT)
    before = file.stat()
    shell.ok("fmt", "script.fmsh")
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_check_lists_what_would_change_and_changes_nothing(shell: Shell) -> None:
    loose, _, empty = (shell.script(text, f"{name}.fmsh") for name, text in (("a", LOOSE), ("b", LAID_OUT), ("c", "")))
    result = shell.run("fmt", "--check", loose, "b.fmsh", empty)
    assert (result.status, result.out, result.err) == (1, "a.fmsh\n", "")
    assert shell.file("a.fmsh") == LOOSE
    assert shell.run("fmt", "--check", "b.fmsh").status == 0
    told = json.loads(shell.run("fmt", "--check", "--json", loose, "b.fmsh").out)
    assert told == [
        {"file": "a.fmsh", "changes": True, "errors": []},
        {"file": "b.fmsh", "changes": False, "errors": []},
    ]


def test_a_syntax_error_is_shown_and_the_other_files_get_their_layout(shell: Shell) -> None:
    bad, good = shell.script("let  x = (\n", "bad.fmsh"), shell.script(LOOSE)
    result = shell.run("fmt", bad, "not-there.fmsh", good)
    assert (result.status, result.out) == (2, "")
    assert "error: `(` is never closed\n  --> bad.fmsh:1:10\n" in result.err
    assert "fmsh: cannot read not-there.fmsh: No such file or directory\n" in result.err
    assert shell.file("bad.fmsh") == "let  x = (\n" and shell.file(good) == LAID_OUT
    told = json.loads(shell.run("fmt", "--check", "--json", bad, "not-there.fmsh").out)
    assert [(each["changes"], len(each["errors"])) for each in told] == [(False, 1), (False, 1)]


def test_standard_input_comes_out_laid_out(shell: Shell) -> None:
    assert shell.run("fmt", "-", input=LOOSE).out == LAID_OUT
    result = shell.run("fmt", "--check", "-", input=LOOSE)
    assert (result.status, result.out) == (1, "-\n")


def test_wrong_use_is_said(shell: Shell) -> None:
    for arguments in ((), ("--nope", "a"), ("--json", "a")):
        result = shell.run("fmt", *arguments)
        assert result.status == 2 and result.err.startswith("fmsh: "), result
    assert shell.ok("fmt", "--help").startswith("usage: fmsh fmt")
