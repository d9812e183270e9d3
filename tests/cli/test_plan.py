"""`--plan`: what a script would ask for, and nothing of it done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shell import Shell

SCRIPT = """\
param service: string = "api"
let hook = callback
touch made
let build = POST https://ci.invalid/builds {service: $service, notify: $hook.url}
within 5m { sleep 1h; PUT https://x.invalid/y $build }
parallel { GET http://a.invalid/1 } { sleep 10m; GET http://a.invalid/2 }
undo { DELETE http://a.invalid/1 }
echo "$service" > written
if $build.status == ok { rm made }
"""


def test_the_effects_in_order_until_an_answer_is_needed(shell: Shell) -> None:
    Path(shell.directory, "release.fmsh").write_text(SCRIPT)
    done = shell.run("--plan", "release.fmsh", "web")
    assert done.status == 0 and done.err == "", done
    texts = [line.rpartition("  ")[2] for line in done.out.splitlines()[:-1]]
    assert texts == [
        "callback open",
        "touch made",
        "POST https://ci.invalid/builds",
        "sleep 1h",
        "PUT https://x.invalid/y",
        "GET http://a.invalid/1",
        "sleep 10m",
        "GET http://a.invalid/2",
        "write written",
    ], done
    assert "it needs an answer at release.fmsh:9:4" in done.out
    assert not Path(shell.directory, "made").exists() and not Path(shell.directory, "written").exists()
    assert not shell.state.exists()


def test_a_plan_as_json(shell: Shell) -> None:
    done = shell.run("--json", "--plan", "-c", "let x = (ls /); for line in ($x | lines) { rm $line }")
    document = json.loads(done.out)
    assert [effect["text"] for effect in document["effects"]] == ["ls /"]
    assert document["effects"][0]["where"] == {"file": "-c", "line": 1, "column": 10}
    assert document["error"] is None and "needs an answer" in document["end"]


@pytest.mark.parametrize(
    ("script", "end", "status"),
    [
        ("let x = 1 + 1; echo $x", "it ends there", 0),
        ("sleep 1h; fail broken", "it fails there", 1),
        ("await (callback)", "it waits there", 0),
        ("while true { }", "it computes without end", 0),
        (
            "while true { GET http://a.invalid }",
            "it asks for more; these are the first 1000, and there may be no end",
            0,
        ),
        ("let x = GET http://a.invalid; $x | count", "it needs an answer at -c:1:36", 0),
        ("let x = GET http://a.invalid; $x == 3", "it needs an answer", 0),
        ("let x = GET http://a.invalid --stream | get n | sum; $x == 3", "it needs an answer", 0),
        ("secret new | secret A; echo (secret A)", "it ends there", 0),
    ],
)
def test_how_a_plan_ends(shell: Shell, script: str, end: str, status: int) -> None:
    done = shell.run("--plan", "-c", script)
    assert (done.status, end in done.out) == (status, True), done
    assert not shell.state.exists()


def test_a_syntax_error_is_found_first(shell: Shell) -> None:
    assert shell.run("--plan", "-c", "rm x; if {").status == 2
