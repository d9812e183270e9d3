"""The HTTP interface keeps what its OpenAPI document says, whatever it is asked: `make openapi` asks it more.

Requests that fit the document and requests that do not go to a real daemon. Each answer must have a status, a type and
a body that the document names; none may be a fault of ours; what does not fit must be refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.cli.shell import Shell, a_shell

EXAMPLES = int(os.environ.get("FMSH_TEST_EXAMPLES", 12))  # of each operation, and each way to make them
IS_LONG = "FMSH_TEST_EXAMPLES" in os.environ
OPERATIONS_MIN = 18
ENDS_THE_DAEMON = "/v1/stop"
# What a document cannot say: that a text is a program, a path that is there, printable, or fits a question.
REFUSES_MORE = ("POST /v1/jobs", "POST /v1/events/{topic}", "GET /v1/events/{topic}", "POST /v1/jobs/{id}/answer")
JOBS = ("asks", "waits", "ended", "last", "1")
CALL = "let x = invoke resize 5"


class Daemon:
    """A daemon whose jobs find no program to run, and what there is to ask it about."""

    def __init__(self, shell: Shell) -> None:
        shell.environment["PATH"] = str(shell.directory / "nothing")
        status = json.loads(shell.ok("daemon", "start", "--json"))
        self.headers = {"Authorization": f"Bearer {shell.ok('config', 'token').strip()}"}
        for key, text in (("asks", "ask name"), ("waits", "sleep 500w"), ("ended", "{a: 1}"), ("calls", CALL)):
            shell.ok("-d", "--key", key, "-c", text)
        self.schema = schemathesis.openapi.from_url(f"{status['public_url']}/openapi.json", headers=self.headers)

    def operations(self) -> list[Any]:
        return [found.ok() for found in self.schema.get_all_operations() if found.ok().path != ENDS_THE_DAEMON]

    def ask(self, case: Any, job: str | None, *, checks: list[Any]) -> None:
        """Sends a request and judges the answer; mostly about a job that there is, and never to be waited for long."""
        if job is not None and case.operation.path.startswith("/v1/jobs/{id}"):
            case.path_parameters["id"] = job
        if case.query and str(case.query.get("wait"))[:1].isdigit():
            case.query["wait"] = "1ms"
        case.call_and_validate(headers=self.headers, excluded_checks=checks)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with a_shell() as shell:
        yield Daemon(shell)


@pytest.mark.parametrize("mode", schemathesis.GenerationMode, ids=lambda mode: mode.value)
def test_each_answer_is_one_that_the_document_names(daemon: Daemon, mode: schemathesis.GenerationMode) -> None:
    asked = set()
    for operation in daemon.operations():
        if mode.is_negative and not (operation.query or operation.body or operation.path_parameters):
            continue  # there is nothing to be wrong in it

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=not IS_LONG,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if IS_LONG else [])],
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), job=strategies.sampled_from([None, *JOBS]))
        def ask(case: Any, job: str | None) -> None:
            daemon.ask(case, job, checks=[positive_data_acceptance] if case.operation.label in REFUSES_MORE else [])
            asked.add(case.operation.label)

        try:
            ask()
        except hypothesis.errors.Unsatisfiable:
            assert mode.is_negative, operation.label  # any text, any JSON is right there
    assert len(asked) >= (OPERATIONS_MIN if mode.is_positive else 8), asked
