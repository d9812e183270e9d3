"""Random programs in random worlds do what the model says, also after snapshots and in replay; and this can fail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fmsh.machine import channels, interrupts, saving, unwind
from fmsh.machine.machine import Machine
from tests.machine import fuzz

SEEDS = 1500  # a part, 6,000 in all; `python -m tests.machine.fuzz FIRST COUNT` runs as many as there is time for


@pytest.mark.parametrize("first", [0, 10_000, 20_000, 30_000])
def test_a_machine_does_what_the_model_says_and_does_it_again(first: int) -> None:
    found = fuzz.failures(first, SEEDS, limit=5)
    assert not found, f"python -m tests.machine.fuzz SEED shows one of these: {found}"


# ---- Faults put in on purpose, which must be found


def _not_delivered(machine: Machine, task: Any) -> None:
    """A cancel that nobody hears of."""


def _not_waited_for(machine: Machine, task: Any, frame: Any) -> bool:
    if frame.group is not None:
        machine.groups[frame.group].running.clear()
    return _leave(machine, task, frame)


def _without_mailboxes(machine: Machine) -> str:
    state = json.loads(_save(machine))
    return json.dumps({**state, "mailboxes": {}})


def _without_items(machine: Machine) -> str:
    state = json.loads(_save(machine))
    return json.dumps({**state, "channels": [[*channel[:4], []] for channel in state.get("channels", ())]})


_leave = unwind._leave
_save = saving.save

FAULTS: dict[str, tuple[Any, str, Any]] = {
    "a cancel is not delivered": (interrupts, "cancel", _not_delivered),
    "a group is not waited for": (unwind, "_leave", _not_waited_for),
    "undo is dropped when it should move up": (unwind, "_move_up", lambda entries, undos: None),
    "a snapshot loses what was delivered": (saving, "save", _without_mailboxes),
    "a snapshot loses what lies in a channel": (saving, "save", _without_items),
    "a channel that nobody is left for does not end": (channels, "end_one", lambda machine: False),
    "a cancel does not reach what a task waits for": (interrupts, "_stop_group", lambda *_given: None),
    "who has lost a race is not undone": (unwind, "_leave_lost", lambda machine, task, frame: None),
    "a cancel does not undo": (unwind, "is_failing", lambda completion: completion[0] == "error"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_put_in_on_purpose_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, replacement = FAULTS[fault]
    monkeypatch.setattr(owner, name, replacement)
    assert fuzz.failures(0, 800, limit=1), f"not found: {fault}"
