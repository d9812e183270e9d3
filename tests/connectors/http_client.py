"""The HTTP connector in a loop of its own, with secrets that a test can name."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from fmsh.connectors.base import AttemptId, Done, Failed, Items, Outcome
from fmsh.connectors.http_request import HttpConnector
from fmsh.connectors.http_transport import Transport
from fmsh.values import Secret, SecretReference, raised
from tests.connectors.http_server import Server
from tests.connectors.loop import Loop, attempt_of

SECRETS = {"TOKEN": "hunter2secret", "ODD": "a/b c&d"}
Serve = Callable[..., Server]


def reveal(secret: Secret) -> str:
    texts = []
    for part in secret.parts:
        if isinstance(part, str):
            texts.append(part)
        elif part.name in SECRETS:
            texts.append(SECRETS[part.name])
        else:
            raise raised("secret", f"there is no secret {part.name}")
    return "".join(texts)


def seal(text: str) -> Secret:
    return Secret((SecretReference(f"sealed {text[::-1]}"),))


class Client:
    """A connector in a loop of its own; `ask` makes one attempt and waits for its outcome."""

    def __init__(self, transport: Transport | None = None) -> None:
        self.loop = Loop()
        self.connector = HttpConnector(reveal, lambda: seal, transport)
        self.kept: dict[str, object] = {}
        self.timings: dict[AttemptId, dict[str, object]] = {}
        self._steps = itertools.count(1)

    def start(
        self, method: str, url: object, *, changes: dict[str, object] | None = None, **arguments: object
    ) -> AttemptId:
        attempt = attempt_of(
            "request",
            {"method": method, "url": url} | arguments,
            **({"id": AttemptId(1, next(self._steps), 1)} | (changes or {})),
        )
        self.connector.start(attempt, self._post)
        return attempt.id

    def _post(self, id: AttemptId, outcome: Outcome | Items) -> None:
        """Keeps what no test expects to the millisecond apart."""
        if isinstance(outcome, Done | Failed) and outcome.timings is not None:
            self.timings[id] = outcome.timings
            assert outcome.kept is not None
            self.kept = {**self.kept, **(outcome.kept() or {})}
            outcome = outcome.replace(timings=None, kept=None)
        self.loop.post(id, outcome)  # type: ignore[arg-type]

    def ask(
        self, method: str, url: object, *, changes: dict[str, object] | None = None, **arguments: object
    ) -> Outcome:
        return self.loop.outcome_of(self.start(method, url, changes=changes, **arguments))

    def value(self, method: str, url: object, **arguments: object) -> object:
        outcome = self.ask(method, url, **arguments)
        assert isinstance(outcome, Done), outcome
        return outcome.value

    def failure(self, method: str, url: object, **arguments: object) -> Failed:
        outcome = self.ask(method, url, **arguments)
        assert isinstance(outcome, Failed), outcome
        return outcome

    def close(self) -> None:
        self.connector.close()
        self.loop.close()
