"""`fmsh jobs script`: what jobs ran, as one script that runs."""

from __future__ import annotations

from tests.cli.crew import FAILED, Crew


def test_the_lines_of_jobs_are_one_script_in_the_order_of_their_names(crew: Crew) -> None:
    text = crew.ok("script", "succeeded", "running")
    assert (
        text == "#!/usr/bin/env fmsh\nlet a = sh -c 'echo one'\nprint $a\n{a: $a}\nlet n = 1\nsh -c 'exec sleep 600'\n"
    )
    assert crew.screen.err == ""
    crew.shell.script(crew.ok("script", "succeeded", "succeeded"), "both.fmsh")
    assert crew.shell.ok("both.fmsh") == 'one\none\n{"a":"one"}\n'


def test_every_state_has_its_lines(crew: Crew) -> None:
    for name in crew.numbers:
        assert crew.ok("script", name).startswith("#!/usr/bin/env fmsh\n")
    document = crew.json("script", "failed")
    assert document == {"jobs": [7], "script": "#!/usr/bin/env fmsh\n" + FAILED, "problems": []}
    assert crew.run("script", "running", "nobody") == 1 and crew.screen.out == ""


def test_what_would_be_wrong_with_the_script_is_said(crew: Crew) -> None:
    shell = crew.shell
    shell.script("def f() { echo used }\n", "lib.fmsh")
    shell.ok("--name", "user", shell.script("use ./lib.fmsh\nlib f\n", "user.fmsh"))
    crew.ok("script", "user")
    assert crew.screen.err.startswith("fmsh: the script has a problem: the module ./lib.fmsh cannot be read")
    assert len(crew.json("script", "user")["problems"]) == 1
