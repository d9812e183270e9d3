"""What external commands write, read as a stream: in bounded space, each item once, ended early without an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmsh.builtins.streaming import STAGES, Chain
from fmsh.connectors import streaming
from fmsh.connectors.base import Attempt, Cancelled, Done, Failed, Items
from tests.connectors.test_process import Shell, end_what_is_left

MIB = 1 << 20
LINE = "x" * 1023  # and its end: a line is a KiB
WRITES_MIB = 40


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.connector.close()
    shell.loop.close()
    end_what_is_left(tmp_path)


def chain(*stages: Any) -> Any:
    """Makes what makes a chain: `(name, argument…)` for each stage."""
    return lambda: Chain([STAGES[name](*arguments) for name, *arguments in stages], [0] * len(stages), [])


def started(shell: Shell, *command: str, output: str, **options: Any) -> Attempt:
    attempt = shell.attempt(list(command), output=output, **options)
    shell.connector.start(attempt, shell.loop.post)
    return attempt


def read(shell: Shell, attempt: Attempt, position: Any = None) -> Any:
    """Asks for the next items; gives them, or the outcome."""
    before = len(shell.loop.outcomes_of(attempt.id))
    shell.connector.read(attempt.id, position)
    shell.loop.run_until(lambda: len(shell.loop.outcomes_of(attempt.id)) > before)
    return shell.loop.outcomes_of(attempt.id)[-1]


def all_of(shell: Shell, attempt: Attempt) -> tuple[list[Any], Any]:
    """Reads a stream to its end."""
    items: list[Any] = []
    answer: Any = Items([], None)
    while isinstance(answer, Items):
        items += answer.items
        answer = read(shell, attempt, answer.position)
    return items, answer


def test_a_batch_has_an_upper_bound_and_all_batches_are_what_was_written(shell: Shell) -> None:
    attempt = started(shell, "seq", "5000", output="stream", make_chain=chain())
    first = read(shell, attempt)
    assert len(first.items) <= streaming.BATCH_ITEMS
    items, outcome = all_of(shell, started(shell, "seq", "5000", output="stream", make_chain=chain()))
    assert items == [str(number) for number in range(1, 5001)]
    assert isinstance(outcome, Done) and outcome.value["statuses"] == [0]


def test_a_stream_goes_on_at_a_position_and_its_stages_in_their_state(shell: Shell) -> None:
    """As after a crash: another connector on the same directory has only what was recorded."""
    stages = chain(("skip", 10), ("enumerate",))
    attempt = started(shell, "seq", "3000", output="stream", make_chain=stages)
    first = read(shell, attempt)
    shell.connector.forget(attempt.id)
    shell.connector = shell.another()
    shell.loop.outcomes.clear()
    again = attempt.replace(is_resumed=True, position=first.position)
    shell.connector.start(again, shell.loop.post)
    rest, outcome = all_of(shell, again)
    numbers = [item["item"] for item in [*first.items, *rest]]
    assert numbers == [str(number) for number in range(11, 3001)] and isinstance(outcome, Done)
    assert [item["index"] for item in [*first.items, *rest]] == list(range(2990))


def test_a_source_that_is_far_ahead_is_stopped_until_its_reader_comes_near(shell: Shell) -> None:
    attempt = started(shell, "sh", "-c", f"echo $$ >pid; exec yes {LINE}", output="stream", make_chain=chain())
    path, pid = Path(shell.path(attempt, "out")), shell.directory / "pid"
    shell.wait_for(lambda: pid.exists() and _state(pid) == "T")
    size = path.stat().st_size
    assert size > streaming.AHEAD_BYTES_MAX
    answer = read(shell, attempt)
    while _state(pid) == "T":
        read_bytes = answer.position["at"]
        assert read_bytes < size, "all is read, and it is still stopped"
        answer = read(shell, attempt, answer.position)
    assert size - answer.position["at"] < streaming.AHEAD_BYTES_AGAIN + 2 * streaming.BATCH_BYTES


def _state(pid: Path) -> str:
    """The state of a process, as the system has it."""
    return Path(f"/proc/{pid.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_was_read_takes_no_room_any_more(shell: Shell) -> None:
    command = f"yes {LINE} | head -n {WRITES_MIB * 1024}"
    attempt = started(shell, "sh", "-c", command, output="fold", make_chain=chain(("count",)))
    outcome = shell.loop.outcome_of(attempt.id)
    assert isinstance(outcome, Done) and outcome.value["value"] == WRITES_MIB * 1024
    written = Path(shell.path(attempt, "out")).stat()
    assert written.st_size == WRITES_MIB * MIB and written.st_blocks * 512 < 2 * streaming.RELEASE_BYTES


@pytest.mark.parametrize("ignored", ["", "trap '' PIPE; "])
def test_a_source_is_ended_when_its_stages_have_enough(shell: Shell, ignored: str) -> None:
    command = f"{ignored}while echo y; do :; done"
    outcome = shell.run(["sh", "-c", command], output="fold", make_chain=chain(("first", 3)))
    assert isinstance(outcome, Done) and outcome.value["value"] == ["y", "y", "y"] and outcome.value["is_enough"]


def test_a_cancelled_stream_ends_its_source_and_gives_no_more(shell: Shell) -> None:
    attempt = started(shell, "yes", output="stream", make_chain=chain())
    read(shell, attempt)
    shell.connector.cancel(attempt.id)
    shell.wait_for(lambda: not isinstance(shell.loop.outcomes_of(attempt.id)[-1], Items))
    assert shell.loop.outcomes_of(attempt.id)[-1] == Cancelled()


def test_a_failing_stage_hands_over_what_stands_before_the_failure_first(shell: Shell) -> None:
    attempt = started(shell, "printf", "1\n2\nx\n4\n", output="stream", make_chain=chain(("each", _whole)))
    items, outcome = all_of(shell, attempt)
    assert items == [1, 2] and isinstance(outcome, Failed) and outcome.error.kind == "parse"


def _whole(text: str) -> int:
    from fmsh.builtins.table import find

    found = find("int")
    assert found is not None
    return found.function(text)  # type: ignore[no-any-return]


def test_what_a_stage_still_holds_at_an_early_end_comes_too(shell: Shell) -> None:
    attempt = started(shell, "yes", output="stream", make_chain=chain(("first", 3), ("chunk", 2)))
    assert all_of(shell, attempt)[0] == [["y", "y"], ["y"]]
