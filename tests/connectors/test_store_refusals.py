"""A step that writes to the store waits while that has no room or no time, and does not fail."""

from __future__ import annotations

from typing import Any

import pytest

from fmsh.connectors.base import ROOM_RETRY_MS, Attempt, AttemptId, Failed, Outcome
from fmsh.connectors.callback import CallbackConnector
from fmsh.connectors.messages import MessageConnector
from fmsh.errors import StoreBusy, StoreError, StoreFull

FAULTS = [StoreFull("there is no room"), StoreBusy("somebody writes")]


def started(connector: MessageConnector | CallbackConnector, operation: str) -> Outcome:
    outcomes: list[Outcome] = []
    attempt = Attempt(AttemptId(1, 1, 1), "uid", operation, {}, {}, "/", "key", 1)
    connector.start(attempt, lambda id, outcome: outcomes.append(outcome))
    (outcome,) = outcomes
    return outcome


@pytest.mark.parametrize("fault", FAULTS)
def test_a_job_or_an_address_that_the_store_has_no_room_for_is_made_later(fault: StoreError) -> None:
    def refuse(*_: Any) -> Any:
        raise fault

    for outcome in (
        started(MessageConnector("job", {"start": refuse}), "start"),
        started(CallbackConnector(refuse, lambda: "http://x", bytes), "open"),
    ):
        assert isinstance(outcome, Failed) and outcome.should_retry and outcome.attempts_max is None
        assert outcome.retry_after_ms == ROOM_RETRY_MS and outcome.error.message == fault.message
