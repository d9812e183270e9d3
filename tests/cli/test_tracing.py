"""`fmsh jobs trace`: the steps of jobs in every state with their attempts, as bars that fit, and as a page."""

from __future__ import annotations

import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fmsh.render.cells import width
from tests.cli.crew import Crew
from tests.cli.shell import Shell, until

FIELDS = {"step", "task", "connector", "operation", "where", "attempts"}
NASTY = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("waiting", [None]), ("branches", [None, None, None]), ("running", [None]), ("paused", [None]),
        ("parked", [None]), ("succeeded", ["status 0"]), ("failed", ["status 0"]), ("cancelled", ["cancelled"]),
    ],
)  # fmt: skip
def test_every_state_has_its_steps_with_their_attempts(crew: Crew, name: str, outcomes: list[str | None]) -> None:
    steps = crew.json("trace", name)
    assert [step["step"] for step in steps] == list(range(1, len(outcomes) + 1))
    assert all(step.keys() >= FIELDS for step in steps)
    found = [[(try_["outcome"], try_["ended_at"] is None) for try_ in step["attempts"]] for step in steps]
    assert found == [[(outcome, outcome is None)] for outcome in outcomes]
    text = crew.ok("trace", name)
    assert text.startswith(f"job {crew.numbers[name]}  ") and " in all:" in text
    assert "hush" not in text


def test_branches_are_told_apart_and_say_where_they_are(crew: Crew) -> None:
    steps = crew.json("trace", "branches")
    assert [step["task"] for step in steps] == ["0.1", "0.2", "0.2.1"]
    assert steps[0]["where"] == {"file": "branches.fmsh", "line": 2, "column": 12}
    assert (steps[0]["connector"], steps[0]["operation"]) == ("timer", "sleep")


@pytest.mark.parametrize("columns", [24, 40, 80, 200])
def test_a_timeline_fits_into_the_terminal(crew: Crew, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in crew.numbers:
        if name == "damaged":
            continue
        lines = crew.ok("trace", name).splitlines()
        assert max(map(width, lines)) <= columns, lines
        assert "\x1b" not in crew.screen.out
    text = crew.ok("trace", "running")
    assert ("sh -c 'exec sleep 600'" in text) == (columns == 200) and "█" in text


def test_damage_and_strangers_are_one_clear_message(crew: Crew) -> None:
    assert crew.run("trace", "damaged") == 1 and "event 2 of job 9 is not what was written" in crew.screen.err
    assert crew.screen.out == ""
    assert crew.run("trace", "nobody") == 1 and "there is no job" in crew.screen.err
    assert crew.run("trace", "running", "--html", "/nowhere/at/all") == 1
    assert "/nowhere/at/all cannot be written: no such file" in crew.screen.err


def test_at_a_terminal_there_are_colours_unless_they_are_not_wanted(crew: Crew) -> None:
    for environment, has_colors in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = crew.shell.terminal("jobs", "trace", "running", **environment)
        text = terminal.read()
        assert "at work" in text and ("\x1b[" in text) == has_colors


def test_tries_takeovers_and_waits_are_in_the_timeline(shell: Shell) -> None:
    shell.ok("daemon", "start")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        text = (
            f"try {{ GET http://127.0.0.1:{closed.getsockname()[1]}/ --retry 1 }} catch e {{ }}\n"
            "sh -c 'echo > up; until [ -e go ]; do sleep 0.02; done; exit 3' || true\n"
            f"sh -c 'echo \"{NASTY}\"'\nsleep 500w\n"
        )
        killed = shell.start(shell.script(text))
        until(lambda: shell.file("up"), "the command")
    killed.kill()
    (shell.directory / "go").touch()
    shell.await_state(1, "waiting")
    steps = shell.json("jobs", "trace", "1")
    tries = [try_["outcome"].partition(":")[0] for try_ in steps[0]["attempts"]]
    assert tries == ["network", "network"] and steps[1]["attempts"][0]["outcome"] == "status 3"
    assert [step["attempts"][-1]["by"] for step in steps] == ["shell", "shell", "daemon", "daemon"]
    until(lambda: "─daemon" in shell.ok("jobs", "trace", "1"), "a time in the daemon that is long enough for its name")
    text = shell.ok("jobs", "trace", "1")
    assert "×" in text and "·" in text and "2 tries, network" in text
    shell.ok("jobs", "trace", "1", "--html", "page.html")
    page = shell.file("page.html")
    assert page is not None
    assert NASTY not in page and "onerror=alert" in page  # as text
    check_page(page)


def rows_of(trace: str) -> list[str]:
    """The rows of a timeline that are waits."""
    return re.findall(r"^.*(?:await|sleep).*[░].*$", trace, re.MULTILINE)


def test_a_wait_and_its_time_out_are_one_row(shell: Shell) -> None:
    shell.ok("-d", "-c", "await (inbox go) --timeout 500w")
    shell.await_state(1, "waiting")
    [row] = rows_of(shell.ok("jobs", "trace", "1"))
    assert row.startswith("1  1:1  await inbox go, at most 500w")
    shell.ok("jobs", "signal", "1", "go")
    shell.await_state(1, "succeeded")
    [row] = rows_of(shell.ok("jobs", "trace", "1"))
    assert row.startswith("1  1:1  await signal go, at most 500w")


class Page(HTMLParser):
    """What a page consists of, and whether each element is closed."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(text: str) -> None:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == [] and {"img", "script", "link", "a"}.isdisjoint(page.tags)
    assert {"src", "href", "onerror"}.isdisjoint(page.attributes)
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text


def test_the_page_has_what_the_timeline_has(crew: Crew, tmp_path: Path) -> None:
    file = tmp_path / "trace.html"
    crew.ok("trace", "failed", "--html", str(file))
    text = file.read_text()
    check_page(text)
    assert "sh -c echo x" in text and "let made = sh -c" in text and "failed.fmsh:3:12" in text


def test_the_page_shows_hostile_names_errors_and_commands_as_text(crew: Crew, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script><img src=//x onerror=alert(2)>\u202e"
    text = f'sh -c "true \'{hostile}\'"\nfail "{hostile}"\n'
    crew.shell.run("--name", hostile, "--tag", f"k={hostile}", "-c", text)
    file = tmp_path / "trace.html"
    crew.ok("trace", hostile, "--html", str(file), "--json")
    page = file.read_text()
    check_page(page)
    assert page.count("&lt;script&gt;alert(1)") >= 5 and "\u202e" not in page
    assert crew.run("trace", hostile, "--html", "-", "--json") == 2 and "both want standard output" in crew.screen.err
