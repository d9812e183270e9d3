"""What one reads first is so."""

from __future__ import annotations

from pathlib import Path

from tests.cli.shell import Shell

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_first_example_of_the_readme_has_no_problem(shell: Shell) -> None:
    example = README.partition("```fmsh\n")[2].partition("```")[0]
    checked = shell.run("--check", shell.script(example))
    assert (checked.status, checked.out, checked.err) == (0, "", ""), checked


def test_what_the_readme_kills_in_a_shell_goes_on(shell: Shell) -> None:
    """Its lines word for word, but that it is killed when it sleeps, however slow the machine is."""
    begin, attach, why = README.partition("```\nfmsh -c ")[2].partition("\n```")[0].splitlines()
    text, _, rest = begin.removeprefix("'").partition("'")
    assert rest == " & sleep 1; kill -9 $!"
    killed = shell.start("-c", text)
    assert killed.stdout is not None and killed.stdout.readline() == "one\n"
    shell.await_state(1, "waiting")
    killed.kill()
    killed.wait()
    assert shell.run(*attach.split()[1:]).out == "one\ntwo\n"
    assert "took it over from a process that had died" in " ".join(shell.ok(*why.split()[1:]).split())
