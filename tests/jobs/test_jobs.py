"""`fmsh jobs`: what each verb shows, does and refuses, over both stores."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import pytest

from fmsh.engine import recording
from fmsh.errors import StoreFull
from fmsh.jobs import following, main
from fmsh.machine import events
from fmsh.machine.events import AttemptFailed, Paused
from fmsh.retention import Limits
from fmsh.store.base import Append, EventStore, Snapshot, Summary
from fmsh.values import Duration, Secret, SecretReference, error_value
from tests.jobs.stories import AT_MS, PERSON, Screen, Story

LOST = error_value("lost", "nobody knows whether step 2 happened")
JOB_FIELDS = {
    "id", "uid", "key", "name", "tags", "state", "source", "command", "created_at", "started_at", "ended_at", "owner",
    "detached", "waiting_for", "steps", "events", "value", "error", "exit_status",
}  # fmt: skip


def failed_story(store: EventStore) -> Story:
    story = Story(store, name="bad")
    error = error_value("name", "there is no variable `nothing`", status=None)
    error.fields["where"] = {"file": "release.fmsh", "line": 2, "column": 9}
    story.end(error=error, status=1)
    return story


def spool(screen: Screen, story: Story, step: int, *, attempt: int = 1, out: bytes = b"", err: bytes = b"") -> str:
    directory = f"{screen.fx_directory}/{story.uid}/{step}-{attempt}"
    os.makedirs(directory, exist_ok=True)
    for name, data in (("out", out), ("err", err)):
        with open(f"{directory}/{name}", "ab") as file:
            file.write(data)
    return directory


# ---- finding a job


@pytest.mark.parametrize("text", ["{id}", "%{id}", "the-key", "the-name", "last"])
def test_a_job_is_found_by_number_key_unique_name_or_last(holding: EventStore, screen: Screen, text: str) -> None:
    Story(holding)
    story = Story(holding, key="the-key", name="the-name")
    assert screen.json("show", text.format(id=story.id))["uid"] == story.uid


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("99", "there is no job 99"),
        ("%99", "there is no job 99"),
        ("nix", "key or name 'nix'"),
        ("twin", "2 jobs are called 'twin'"),
    ],
)
def test_a_job_that_is_not_there_is_one_clear_error(
    holding: EventStore, screen: Screen, text: str, message: str
) -> None:
    Story(holding, name="twin")
    Story(holding, name="twin")
    for verb in ("show", "attach", "wait", "output", "log", "cancel", "retry", "answer", "pause", "resume"):
        assert screen.run(verb, text) == 1
        assert message in screen.err and screen.out == "" and screen.err.count("fmsh:") == 1


def test_last_of_nothing_is_an_error(screen: Screen) -> None:
    assert screen.run("show", "last") == 1 and screen.err == "fmsh: there are no jobs yet\n"


# ---- list, show, log


def test_a_job_in_json_has_what_the_interface_says(holding: EventStore, screen: Screen) -> None:
    story = Story(holding, key="k", env="prod")
    story.wait_for(PERSON)
    document = screen.json("show", "k")
    assert document.keys() >= JOB_FIELDS
    assert document["created_at"] == "2026-11-24T06:00:00.000Z" and document["state"] == "waiting"
    assert document["tags"] == {"env": "prod"} and document["waiting_for"] == [PERSON]
    assert document["owner"] == {"kind": "daemon", "pid": os.getpid(), "host": document["owner"]["host"]}
    assert document["events"] == 2 and document["value"] is None and document["detached"] is False


def test_values_errors_and_secrets_are_plain_json(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.end({"wait": Duration(10**9), "token": Secret((SecretReference("K"),))})
    failed_story(holding)
    last, first = screen.json("list")
    assert first["value"] == {"wait": "1s", "token": {"secret": "K"}} and first["exit_status"] == 0
    assert last["error"]["kind"] == "name" and last["error"]["where"]["line"] == 2 and last["state"] == "failed"


def test_list_puts_active_jobs_first_and_newest_first(holding: EventStore, screen: Screen) -> None:
    stories = [Story(holding) for _ in range(4)]
    stories[1].end()
    stories[3].end()
    assert [job["id"] for job in screen.json()] == [stories[place].id for place in (2, 0, 3, 1)]
    assert [job["id"] for job in screen.json("list", "--limit", "3")] == [stories[place].id for place in (2, 0, 3)]
    assert [job["id"] for job in screen.json("--state", "succeeded")] == [stories[3].id, stories[1].id]


def test_list_selects_by_tag_and_shows_the_newest_ended_unless_all(holding: EventStore, screen: Screen) -> None:
    for number in range(25):
        Story(holding, n=str(number)).end()
    assert len(screen.json("list")) == 20 and len(screen.json("list", "--all")) == 25
    assert [job["tags"] for job in screen.json("list", "--tag", "n=3", "--all")] == [{"n": "3"}]


def test_the_table_of_jobs_says_why_they_wait_or_failed(holding: EventStore, screen: Screen) -> None:
    Story(holding).wait_for(PERSON)
    failed_story(holding)
    assert screen.run() == 0
    titles, waiting, failed = screen.out.splitlines()
    assert titles.split()[:5] == ["N", "STATE", "AGE", "STEPS", "COMMAND"]
    assert "waiting" in waiting and "asks: Deploy?" in waiting
    assert "failed" in failed and "release.fmsh api [bad]" in failed
    assert "\x1b" not in screen.out


def test_an_empty_list_is_no_error(screen: Screen) -> None:
    assert screen.run("list") == 0 and screen.out == "no jobs\n" and screen.json("list") == []


def test_show_says_where_and_what_to_do(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.run_process(1, "make", "all")
    story.complete(1, {"statuses": [0], "output": None, "stderr": ""})
    story.request(2, "http", "request", method="POST", url="https://h/x")
    story.park(LOST, step=2)
    assert screen.run("show", str(story.id)) == 0
    for part in (
        "parked",
        f"fmsh jobs retry {story.id}",
        "make all",
        "status 0",
        "POST https://h/x",
        "error: nobody knows",
    ):
        assert part in screen.out
    failed_story(holding)
    screen.run("show", "bad")
    assert "2 | let x = $nothing\n       |         ^" in screen.out.replace("      |", "       |")


def test_log_shows_every_event(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.run_process(1, "make", "all")
    story.display("hello\n")
    story.complete(1, error=error_value("exit", "make ended with status 2", status=2))
    assert screen.run("log", "last") == 0
    assert [line.split()[0] for line in screen.out.splitlines()] == ["1", "2", "3", "4"]
    assert "make all" in screen.out and "hello\\n" in screen.out and "exit: make ended with status 2" in screen.out


def test_an_event_in_json_has_what_the_interface_says(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.request(1, "http", "request", url="https://h", token=Secret((SecretReference("K"),)))
    started, made = screen.json("log", "last")
    assert made == {
        "job": story.id,
        "seq": 2,
        "at": "2026-11-24T06:00:01.000Z",
        "type": "RequestMade",
        "step": 1,
        "where": None,
        "data": {
            "task": "0",
            "connector": "http",
            "operation": "request",
            "arguments": {"url": "https://h", "token": {"secret": "K"}},
            "node": 1,
            "is_once": False,
            "key_step": None,
        },
    }
    assert started["type"] == "JobStarted" and started["data"]["arguments"] == ["api"]


def test_places_come_from_the_compiled_program(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.run_process(1, "make", "all")

    class Loaded:
        def place(self, node: int) -> Any:
            return {"file": "release.fmsh", "line": node, "column": 1}

    assert screen.run("log", "last", load_program=lambda program: Loaded()) == 0
    assert "(release.fmsh:1:1)" in screen.out


# ---- output


def test_output_is_what_was_displayed_in_its_order_byte_for_byte(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.display("first\n")
    story.run_process(1, "make")
    spool(screen, story, 1, out=b"made \xff\x1b[1m\n", err=b"warning\n")
    story.complete(1, {"statuses": [0], "output": None, "stderr": "warning\n"})
    story.run_process(2, "date", output="capture")
    spool(screen, story, 2, out=b"captured\n")
    story.complete(2, {"statuses": [0], "output": "captured\n", "stderr": ""})
    story.display("last\n")
    story.display("problem\n", "err")
    assert screen.run("output", "last") == 0
    assert screen.raw == b"first\nmade \xff\x1b[1m\nlast\n" and screen.err == "warning\nproblem\n"
    texts = [(chunk["stream"], chunk["text"]) for chunk in screen.json("output", "last")]
    assert texts == [
        ("out", "first\n"), ("out", "made \udcff\x1b[1m\n"), ("err", "warning\n"), ("out", "last\n"),
        ("err", "problem\n"),
    ]  # fmt: skip


def test_output_of_every_attempt_is_kept(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.run_process(1, "make")
    spool(screen, story, 1, out=b"one\n")
    story.add(AttemptFailed(1, 1, LOST, 0), step=1)
    spool(screen, story, 1, attempt=2, out=b"two\n")
    assert screen.run("output", "last") == 0 and screen.out == "one\ntwo\n"


def test_output_of_one_step_is_also_that_of_a_captured_process(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.run_process(1, "date", output="capture")
    story.complete(1, {"statuses": [0], "output": "captured\n", "stderr": "why\n"})
    story.request(2, "http", "request", url="https://h")
    assert screen.run("output", "last", "--step", "1") == 0
    assert screen.out == "captured\n" and screen.err == "why\n"
    assert screen.run("output", "last", "--step", "2") == 1 and "is no process" in screen.err


def test_what_went_to_the_terminal_is_said_to_have_gone_there(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.run_process(1, "vim")
    story.complete(1, {"statuses": [0], "output": None, "stderr": ""})
    assert screen.run("output", "last") == 0 and screen.out == "" and "went to the terminal" in screen.err


# ---- following


class Later:
    """Does one thing after another in a thread of its own, with a little time between."""

    def __init__(self, *acts: Any) -> None:
        self._acts = acts
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Later:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        for act in self._acts:
            time.sleep(0.03)
            act()


def test_attach_shows_what_was_and_what_comes_and_has_the_status_of_the_job(
    stores: tuple[EventStore, EventStore], screen: Screen
) -> None:
    story = Story(stores[0])
    story.display("before\n")
    story.run_process(1, "make")
    spool(screen, story, 1, out=b"a")

    def grow() -> None:
        spool(screen, story, 1, out=b"b\n")

    def end() -> None:
        story.complete(1, {"statuses": [3], "output": None, "stderr": ""})
        error = error_value("exit", "make ended with status 3", status=3)
        error.fields["where"] = {"file": "release.fmsh", "line": 1, "column": 1}
        story.end(error=error, status=3)

    with Later(grow, lambda: open_apart(story, stores, end)):
        assert screen.run("attach", str(story.id)) == 3
    assert screen.out == "before\nab\n"
    assert screen.err.startswith("error: make ended with status 3\n  --> release.fmsh:1:1\n")


def open_apart(story: Story, stores: tuple[EventStore, EventStore], act: Any) -> None:
    """Acts in this thread with a connection of its own."""
    reopen = getattr(stores[0], "reopen", None)
    if reopen is None:
        act()
        return
    before, story.store = story.store, reopen()
    try:
        act()
    finally:
        story.store.close()
        story.store = before


def test_wait_gives_the_status_of_the_last(stores: tuple[EventStore, EventStore], screen: Screen) -> None:
    first, second = Story(stores[0]), Story(stores[0])
    first.end(error=error_value("exit", "no", status=7), status=7)

    def end() -> None:
        second.end("done")

    with Later(lambda: open_apart(second, stores, end)):
        assert screen.run("wait", str(first.id), str(second.id)) == 0
    assert screen.run("wait", str(second.id), str(first.id)) == 7
    assert [job["value"] for job in screen.json("wait", str(second.id))] == ["done"]


def test_wait_gives_up_after_its_time_and_says_so(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    started = time.monotonic()
    assert screen.run("wait", "last", "--timeout", "50ms") == 1
    assert time.monotonic() - started >= 0.05
    assert screen.err == f"fmsh: job {story.id} has not ended in time: it is running\n"


def test_waiting_for_a_parked_job_says_what_to_do(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.park(LOST, step=2)
    screen.run("wait", "last", "--timeout", "0.01")
    assert f"fmsh jobs retry {story.id}" in screen.err and LOST.message in screen.err


def test_following_reads_nothing_while_nothing_changes(holding: EventStore, screen: Screen) -> None:
    Story(holding)
    reads = 0
    real = screen.looking._store.events

    class Counting:
        def __getattr__(self, name: str) -> Any:
            nonlocal reads
            if name == "events":
                reads += 1
            return getattr(screen.looking, name)

    counting: Any = Counting()
    job = counting.last_job()
    following_events = following.new_events(counting, job, follow=True)
    for _ in range(12):
        next(following_events)
    assert reads == 1 and real is not None


def test_log_follows_until_the_end(stores: tuple[EventStore, EventStore], screen: Screen) -> None:
    story = Story(stores[0])
    with Later(
        lambda: open_apart(story, stores, lambda: story.display("x")), lambda: open_apart(story, stores, story.end)
    ):
        assert screen.run("log", "last", "--follow") == 0
    assert [line.split()[-2 if "Displayed" in line else 2] for line in screen.out.splitlines()][1:] == [
        "Displayed",
        "JobEnded",
    ]


def test_ctrl_c_while_attached_cancels_the_job_and_ctrl_z_detaches(
    stores: tuple[EventStore, EventStore], screen: Screen
) -> None:
    import signal

    story = Story(stores[0])

    def cancelled() -> None:
        until = time.monotonic() + 5
        while not story.store.inbox(story.id) and time.monotonic() < until:
            time.sleep(0.01)
        story.end(error=error_value("cancelled", "cancelled"), status=130)

    with Later(lambda: os.kill(os.getpid(), signal.SIGINT), lambda: open_apart(story, stores, cancelled)):
        assert screen.run("attach", str(story.id)) == 130
    assert [row.kind for row in stores[1].inbox(story.id)] == ["cancel"] and "error" not in screen.err
    other = Story(stores[0])
    with Later(lambda: os.kill(os.getpid(), signal.SIGTSTP)):
        assert screen.run("attach", str(other.id)) == 0
    assert "detached" in screen.err and stores[1].inbox(other.id) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- acting


def test_cancel_pause_resume_and_retry_put_one_row_each_into_the_inbox(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    assert screen.run("cancel", "last") == screen.run("pause", "last") == 0
    story.add(Paused(), state="paused")
    assert screen.run("resume", "last") == screen.run("resume", "last") == 0
    story.park(LOST, step=2)
    assert screen.run("retry", "last") == 0
    rows = holding.inbox(story.id)
    assert [row.kind for row in rows] == ["cancel", "pause", "resume", "resume", "retry"]
    assert {row.data_json for row in rows} == {"null"} and screen.out == screen.err == ""


def test_what_makes_no_sense_is_refused_and_the_others_are_still_done(holding: EventStore, screen: Screen) -> None:
    ended, running = failed_story(holding), Story(holding)
    assert screen.run("cancel", str(ended.id), "99", str(running.id)) == 1
    assert f"job {ended.id} has ended already (failed)" in screen.err and "there is no job 99" in screen.err
    assert [row.kind for row in holding.inbox(running.id)] == ["cancel"] and holding.inbox(ended.id) == []
    assert screen.run("resume", str(running.id)) == 1 and "is not paused: it is running" in screen.err
    assert screen.run("retry", str(running.id)) == 1 and "is not parked: it is running" in screen.err
    assert [job["id"] for job in screen.json("cancel", str(running.id))] == [running.id]


def test_retrying_an_ended_job_names_fork(holding: EventStore, screen: Screen) -> None:
    failed_story(holding)
    assert screen.run("retry", "bad") == 1 and "fmsh jobs fork" in screen.err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("true", True),
        ("5", 5),
        ('{"a": [1]}', {"a": [1]}),
        ("{a", "{a"),
        ("NaN", "NaN"),
        ("", ""),
        ('"5"', "5"),
    ],
)
def test_an_answer_is_json_if_it_parses_and_else_text(
    holding: EventStore, screen: Screen, text: str, value: Any
) -> None:
    story = Story(holding)
    story.wait_for({"kind": "timer"}, PERSON)
    assert screen.run("answer", "last", text) == 0
    (row,) = holding.inbox(story.id)
    assert row.kind == "answer" and json.loads(row.data_json) == {"value": value}


def test_an_answer_may_be_the_outcome_of_a_parked_step(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.park(LOST, step=2)
    assert screen.run("answer", "last") == 0
    assert json.loads(holding.inbox(story.id)[0].data_json) == {"value": None}


def test_an_answer_that_nobody_asked_for_is_refused(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    assert screen.run("answer", "last", "x") == 1 and "asks nothing" in screen.err
    story.wait_for({"kind": "timer", "label": "", "since": "", "until": None, "where": None})
    assert screen.run("answer", "last", "x") == 1
    story.park(error_value("internal", "a fault"))
    assert screen.run("answer", "last", "x") == 1 and "not at a step" in screen.err
    story.end()
    assert screen.run("answer", "last", "x") == 1 and "has ended" in screen.err
    assert holding.inbox(story.id) == []


# ---- the command line


@pytest.mark.parametrize(
    "arguments",
    [
        ("signal", "1", ""),
        ("show",),
        ("list", "--state", "odd"),
        ("list", "--tag", "x"),
        ("list", "--limit", "-1"),
        ("wait", "1", "--timeout", "x"),
        ("show", "1", "2"),
        ("--jso",),
        ("output", "1", "--step", "x"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_does_not_open_the_store(arguments: tuple[str, ...]) -> None:
    import io

    def no_store() -> EventStore:
        raise AssertionError

    err = io.StringIO()
    assert main(list(arguments), no_store, fx_directory="", stdout=io.StringIO(), stderr=err) == 2
    assert err.getvalue().startswith("fmsh: ") and "usage: fmsh jobs" in err.getvalue()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("12", "show 12"), ("%12", "show %12"), ("last", "show last"), ("shw 12 --json", "show 12 --json")],
)
def test_what_is_no_verb_is_told_with_what_was_meant(screen: Screen, typed: str, meant: str) -> None:
    assert screen.run(*typed.split()) == 2
    assert screen.err == f"fmsh: fmsh jobs has no verb {typed.split()[0]!r}\n  did you mean `fmsh jobs {meant}`?\n"


def test_what_is_like_no_verb_is_told_with_all_verbs(screen: Screen) -> None:
    assert screen.run("xyzzy") == 2 and "there are list, show, " in screen.err


def test_a_wrong_word_after_a_verb_is_told_with_the_usage_of_that_verb(screen: Screen) -> None:
    assert screen.run("show", "1", "2") == 2
    assert screen.err == "fmsh: unrecognized arguments: 2\n  usage: fmsh jobs show [-h] [--json] N\n"


def test_help_is_written_to_standard_output() -> None:
    import io

    out = io.StringIO()
    assert main(["--help"], lambda: None, fx_directory="", stdout=out, stderr=io.StringIO()) == 0  # type: ignore[arg-type,return-value]
    assert "VERB" in out.getvalue() and "retry" in out.getvalue()


def test_a_store_that_cannot_be_used_is_status_75() -> None:
    import io

    def full() -> EventStore:
        raise StoreFull("no room on the disk", hint="make some")

    err = io.StringIO()
    assert main(["list"], full, fx_directory="", stdout=io.StringIO(), stderr=err) == 75
    assert err.getvalue() == "fmsh: no room on the disk\n  make some\n"


def test_a_reader_that_has_gone_is_no_failure_to_report(holding: EventStore, screen: Screen) -> None:
    import io

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    err = io.StringIO()
    assert main(["list"], lambda: screen.looking, fx_directory="", stdout=Closed(), stderr=err) == 141  # type: ignore[arg-type,return-value]
    assert err.getvalue() == ""


# ---- what is removed, and what is said of it


LARGE = "x" * 70_000


def ended_with_large_value(store: EventStore) -> Story:
    """Its value and one displayed text are blobs, as the engine makes them."""
    story = Story(store)
    story.display("small\n")
    end = events.JobEnded(LARGE, None, 0)
    for event, summary in (
        (events.Displayed(LARGE, "out"), story.summary),
        (end, Summary("succeeded", exit_status=0, ended_at_ms=AT_MS)),
    ):
        recorded = recording.Recording()
        recorded.add(event, at_ms=AT_MS)
        assert store.commit([Append(story.lease, recorded.events, summary, blobs=recorded.blobs)]) == [None]
    return story


def test_a_large_value_is_shown_as_long_as_it_is_kept(holding: EventStore, screen: Screen) -> None:
    story = ended_with_large_value(holding)
    assert story.job.value_json is None
    assert screen.json("show", str(story.id))["value"] == LARGE
    assert screen.json("wait", str(story.id))[0]["value"] == LARGE
    assert screen.json("show", str(story.id))["expired"] is None


def test_what_has_expired_says_what_when_and_by_which_setting(holding: EventStore, screen: Screen) -> None:
    story = ended_with_large_value(holding)
    at_ms = time.time_ns() // 10**6
    holding.remove_outputs([story.id], now_ms=at_ms)
    day = time.strftime("%Y-%m-%d", time.localtime(at_ms // 1000))
    reason = f"the output of job {story.id} was removed on {day}"
    for arguments in (("show", str(story.id)), ("wait", str(story.id), "--json")):
        assert screen.run(*arguments) == 0
    assert screen.json("wait", str(story.id))[0]["value"] is None
    assert reason in screen.json("wait", str(story.id))[0]["expired"]
    for arguments, status in ((("output",), 1), (("log",), 0), (("show",), 0)):
        assert screen.run(*arguments, str(story.id)) == status
        assert reason in screen.err and "retention.output" in screen.err
    assert screen.run("output", str(story.id)) == 1 and screen.out == "small\n"
    assert screen.run("log", str(story.id)) == 0 and screen.out.count("(expired)") == 2


def test_trimmed_events_are_named_and_the_others_shown(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    story.display("one\n")
    snapshot = Snapshot(story.lease.head, "{}")
    assert holding.commit([Append(story.lease, [], story.summary, snapshot=snapshot)]) == [None]
    story.display("two\n")
    holding.trim(story.id, before_ms=10**15, now_ms=AT_MS)
    assert screen.run("log", str(story.id)) == 0
    assert f"the events of job {story.id} before 2" in screen.err and "retention.events" in screen.err
    assert [line.split()[0] for line in screen.out.splitlines()] == ["2", "3"]
    assert screen.run("output", str(story.id)) == 1 and screen.out == "one\ntwo\n"


def test_following_goes_on_when_events_are_trimmed_under_it(holding: EventStore, screen: Screen) -> None:
    story = Story(holding)
    for number in range(1500):  # more than are read at once
        story.display(f"{number}\n")
    followed = following.new_events(screen.looking, story.job, follow=False)  # type: ignore[arg-type]
    read = [next(followed)]
    snapshot = Snapshot(story.lease.head, "{}")
    assert holding.commit([Append(story.lease, [], story.summary, snapshot=snapshot)]) == [None]
    holding.trim(story.id, before_ms=10**15, now_ms=AT_MS)
    read += followed
    assert read[-1] is not None and read[-1].seq == 1501


def test_rm_removes_ended_jobs_only_and_says_what_that_freed(holding: EventStore, screen: Screen) -> None:
    gone, active, kept = failed_story(holding), Story(holding), failed_story(holding)
    directory = spool(screen, gone, 1, out=b"x" * 5000)
    assert screen.run("rm", str(gone.id), str(active.id), "77") == 1
    assert screen.out.startswith("removed 1 job, ") and "freed" in screen.out
    assert f"job {active.id} is running: only ended jobs can be removed" in screen.err
    assert f"`fmsh jobs cancel {active.id}` ends it" in screen.err and "there is no job 77" in screen.err
    assert holding.job(gone.id) is None and holding.job(active.id) and holding.job(kept.id)
    assert not os.path.exists(directory)
    assert screen.run("show", str(gone.id)) == 1
    assert f"job {gone.id} is not kept any more" in screen.err and "retention.history" in screen.err
    assert screen.json("rm", str(kept.id))["removed"] == [kept.id]


def test_gc_goes_by_the_age_that_it_is_given_or_by_the_settings(holding: EventStore, screen: Screen) -> None:
    story, active = failed_story(holding), Story(holding)
    spool(screen, story, 1, out=b"x" * 5000)
    assert screen.run("gc") == 0 and screen.out == "removed 0 jobs, the output of 0 jobs: 0 bytes freed\n"
    screen.limits = Limits(None, None, None)
    assert screen.json("gc", "--older-than", "100000d")["removed"] == []
    screen.limits = Limits(0, None, None)
    found = screen.json("gc")
    assert found["output_removed"] == [story.id] and found["removed"] == [] and found["bytes"] >= 5000
    found = screen.json("gc", "--older-than", "0s")
    assert found["removed"] == [story.id] and holding.job(active.id) is not None
    assert screen.run("gc", "--older-than", "soon") == 2 and "not a duration" in screen.err
    assert screen.run("gc", "--help") == 0 and "retention.history" in screen.out


def test_waiting_for_a_job_that_is_removed_meanwhile_ends(
    holding: EventStore, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(holding)

    def remove(_: object) -> bool:
        story.end(1)
        holding.remove_jobs([story.id], now_ms=1)
        return True

    monkeypatch.setattr(following.Changes, "wait", remove)
    assert screen.run("wait", str(story.id)) == 1 and "not kept any more" in screen.err
