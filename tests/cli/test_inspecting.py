"""`fmsh jobs inspect`: the stack and the variables of jobs in every state, and the prompt on them."""

from __future__ import annotations

import pytest

from tests.cli.crew import Crew
from tests.cli.shell import Shell

OWN = {"args", "job", "in"}


def variables(document: dict[str, object]) -> dict[str, object]:
    found = document["variables"]
    assert isinstance(found, dict)
    return {name: value for name, value in found.items() if name not in OWN}


def test_a_waiting_job_has_its_calls_innermost_first_and_all_variables(crew: Crew) -> None:
    document = crew.json("inspect", "waiting")
    assert {"job", "seq", "stack", "variables"} <= document.keys()
    assert (document["job"], document["seq"]) == (1, crew.shell.job(1)["events"])
    assert document["stack"] == [
        {"function": "nap", "where": {"file": "waiting.fmsh", "line": 5, "column": 3}},
        {"function": "main", "where": {"file": "waiting.fmsh", "line": 8, "column": 1}},
    ]
    inner = {"name": "api", "tags": ["a", "b"]}
    seen = {"s": {"secret": "TOKEN"}, "said": "Bearer •••", "double": None, "name": "api", "inner": inner}
    assert variables(document) == seen and document["variables"]["job"]["id"] == 1
    text = crew.ok("inspect", "waiting")
    assert "sleep 500w" in text and "$said" in text and "(a block)" in text and "hush" not in text


@pytest.mark.parametrize(
    ("name", "stack", "known"),
    [
        ("running", [("main", 2)], {"n": 1}),
        ("paused", [("main", 2)], {"n": 2}),
        ("parked", [("main", 2)], {"before": 5}),
        ("succeeded", [], {"a": "one"}),
        ("failed", [("check", 1), ("main", 4)], {"count": 3, "made": "x"}),
        ("cancelled", [], {"n": 3}),
    ],
)
def test_every_state_can_be_looked_at(
    crew: Crew, name: str, stack: list[tuple[str, int]], known: dict[str, object]
) -> None:
    document = crew.json("inspect", name)
    assert [(call["function"], call["where"]["line"]) for call in document["stack"]] == stack
    assert variables(document) == known
    assert crew.ok("inspect", name).startswith(f"job {crew.numbers[name]}  ")


def test_branches_have_stacks_of_their_own(crew: Crew) -> None:
    document = crew.json("inspect", "branches")
    tasks = {task["task"]: task for task in document["tasks"]}
    assert list(tasks) == ["0", "0.1", "0.2"] and document["stack"] == tasks["0"]["stack"]
    assert tasks["0.1"]["waits_for"] == "step 1: sleep 500w" and tasks["0"]["waits_for"] == "its branches"
    assert variables(tasks["0.2"]) == {"shared": 7, "own": 1}
    assert crew.ok("inspect", "branches").count("$shared") == 1


def test_an_earlier_event_has_what_was_known_then(crew: Crew) -> None:
    head = crew.json("inspect", "failed")["seq"]
    begun = crew.json("inspect", "failed", "--at", "2")
    assert (begun["seq"], begun["events"], variables(begun)) == (2, head, {"count": 3})
    assert begun["stack"] == [{"function": "main", "where": {"file": "failed.fmsh", "line": 3, "column": 12}}]


def test_an_event_that_is_not_there_says_from_which_on_it_can_be_inspected(crew: Crew) -> None:
    head = crew.json("inspect", "waiting")["seq"]
    for seq in (0, head + 1):
        assert crew.run("inspect", "waiting", "--at", str(seq)) == 1
        message = f"fmsh: event {seq} of job 1 does not exist: it can be inspected from event 1 on, up to {head}\n"
        assert (crew.screen.out, crew.screen.err) == ("", message)


def test_a_trimmed_event_says_from_which_on_it_can_be_inspected(shell: Shell) -> None:
    """The daemon that stops leaves a snapshot, before which events can go."""
    shell.ok("-d", "-c", "let a = 1; sh -c true; sleep 500w")
    shell.await_state(1, "waiting")
    shell.ok("daemon", "stop")
    from fmsh.store.sqlite import SqliteStore

    store = SqliteStore.open(str(shell.state), kind="shell")
    store.trim(1, before_ms=10**15, now_ms=10**15)
    job = store.job(1)
    store.close()
    assert job is not None and job.trimmed_seq > 1
    result = shell.run("jobs", "inspect", "1", "--at", "1")
    message = (
        f"event 1 of job 1 is not kept any more: it can be inspected from event {job.trimmed_seq} on, up to {job.head}"
    )
    assert result.status == 1 and message in result.err and "retention.events" in result.err
    assert shell.json("jobs", "inspect", "1", "--at", str(job.trimmed_seq))["variables"]["a"] == 1


def test_damage_and_strangers_are_one_clear_message(crew: Crew) -> None:
    assert crew.run("inspect", "damaged") == 1 and "event 2 of job 9 is not what was written" in crew.screen.err
    assert crew.run("inspect", "nobody") == 1 and "there is no job with the key or name 'nobody'" in crew.screen.err
    assert crew.run("inspect", "99") == 1 and "there is no job 99" in crew.screen.err
    assert crew.run("inspect", "waiting", "--at", "x") == 2
    assert crew.run("inspect", "waiting", "--json", "--interactive") == 2


def test_the_prompt_runs_what_is_pure_and_refuses_the_rest(crew: Crew) -> None:
    lines = "let y = $inner.tags | each { $it | str upper }\n$y\n[1,\n2] | sum\nprint $said\nexit\n"
    result = crew.shell.run("jobs", "inspect", "waiting", "--interactive", input=lines)
    assert result.status == 0 and result.out.endswith("A\nB\n3\nBearer •••\n") and result.err == ""
    before = crew.shell.job(1)
    for line, said in {
        "sh -c 'echo > done'": "`sh -c echo > done` is an effect, and this prompt only looks at job 1",
        "nap again": "`sleep 500w` is an effect",
        "'x' | save done": "is an effect",
        "now": "`now` is an effect",
        "$double": "holds a block, a task or a channel",
        "$nothing": "there is no variable $nothing",
        "$inner.nothing": "there is no field",
    }.items():
        result = crew.shell.run("jobs", "inspect", "waiting", "-i", input=line + "\n")
        assert result.status == 1 and said in result.err, result
    assert crew.shell.file("done") is None and crew.shell.job(1) == before


def test_the_prompt_goes_from_event_to_event(crew: Crew) -> None:
    result = crew.shell.run("jobs", "inspect", "failed", "-i", input="at 2\n$count\nnext\nback\n$made\nat 99\n")
    assert result.out.count("after event 2 of") == 2 and "\n3\n" in result.out
    assert "there is no variable $made" in result.err and "event 99 of job 7 does not exist" in result.err
    assert result.status == 1
