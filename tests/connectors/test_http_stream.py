"""Answers read as streams of values: each once, also where they break off; ended early without an error."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fmsh.builtins.streaming import STAGES, Chain
from fmsh.connectors import http_stream
from fmsh.connectors.base import AttemptId, Cancelled, Done, Failed, Items
from fmsh.connectors.http_events import Lines, Place, ServerSentEvents
from fmsh.values import Duration, Raised
from tests.connectors.http_client import Client, Serve
from tests.connectors.http_server import Act, answer, cut_after, reset

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
JSONL = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
NO_MORE = answer(204)


def chain(*stages: Any) -> Any:
    """Makes what makes a chain: `(name, argument…)` for each stage."""
    return lambda: Chain([STAGES[name](*arguments) for name, *arguments in stages], [0] * len(stages), [])


def start(client: Client, url: str, *stages: Any, output: str = "stream", changes: Any = None, **arguments: Any) -> Any:
    changes = {"make_chain": chain(*stages)} | (changes or {})
    method = arguments.pop("method", "GET")
    return client.start(method, url, changes=changes, output=output, **arguments)


def read(client: Client, id: AttemptId, position: Any = None, number: int = 0) -> Any:
    """Asks for the next items; gives what came as that number: items, or the outcome."""
    client.connector.read(id, position)
    client.loop.run_until(lambda: len(client.loop.outcomes_of(id)) > number, poll_s=0.02)
    return client.loop.outcomes_of(id)[number]


def all_of(client: Client, id: AttemptId) -> tuple[list[Any], Any, Any]:
    """Reads a stream to its end; gives the items, the last position, and the outcome."""
    items: list[Any] = []
    position: Any = None
    number = 0
    while isinstance(found := read(client, id, position, number), Items):
        items += found.items
        position, number = found.position, number + 1
    return items, position, found


def fold(client: Client, url: str, *stages: Any, **options: Any) -> Any:
    return client.loop.outcome_of(start(client, url, *stages, output="fold", **options))


def events(*numbers: int, retry_ms: int = 0) -> bytes:
    return b"".join(b"retry: %d\nid: e%d\ndata: %d\n\n" % (retry_ms, number, number) for number in numbers)


def framed(body: bytes, head: bytes = SSE) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


# -- what the values are

TEXT = (
    "\ufeff: a comment\nretry: 250\n\ndata: first\n\n"
    'id: 7\nevent: built\ndata: {"n": 1,\ndata:  "ü": [2]}\n\n'
    "data\n\ndata:\ndata:\n\nevent: nothing\n\nid\ndata: 5\n\nid: \0\nx: y\ndata: last \n\ndata: cut off\n"
)
VALUES = [
    ("first", None, "message"),
    ({"n": 1, "ü": [2]}, "7", "built"),
    ("", "7", "message"),
    ("\n", "7", "message"),
    (5, "", "message"),
    ("last ", "", "message"),
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_read_wherever_they_are_cut(end: str, size: int) -> None:
    data = TEXT.replace("\n", end).encode()
    reader = ServerSentEvents(is_full=True, last_id=None)
    found = [value for at in range(0, len(data), size) for value, _ in reader.feed(data[at : at + size])]
    assert [(value["data"], value["id"], value["event"]) for value in found] == VALUES
    assert reader.finish() == [] and reader.retry_ms == 250


def test_lines_are_json_or_text() -> None:
    reader = Lines(is_text=False)
    assert [value for value, _ in reader.feed(b'{"a": 1}\r\n\n[2]\n3') + reader.finish()] == [{"a": 1}, [2], 3]
    reader = Lines(is_text=True)
    found = [value for value, _ in reader.feed(b'{"a": 1}\r\n\n{oops\r\n3') + reader.finish()]
    assert found == [{"a": 1}, "", "{oops", "3"]
    with pytest.raises(Raised, match="JSON"):
        Lines(is_text=False).feed(b"{oops\n")


@pytest.mark.parametrize("reader", [Lines(is_text=True), ServerSentEvents(is_full=False, last_id=None)])
def test_a_value_without_end_is_a_limit_error(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmsh.connectors.http_events.EVENT_BYTES_MAX", 10_000)
    with pytest.raises(Raised, match="EVENT_BYTES_MAX"):
        for _ in range(5000):
            reader.feed(b"123456789" if isinstance(reader, Lines) else b"data: 123456789\ndata: 123456789")


# -- to the end, and no further


def test_a_stream_and_a_fold_come_to_the_same(client: Client, serve: Serve) -> None:
    body = b"".join(b'{"n": %d}\n' % number for number in range(3000))
    server = serve(framed(body, JSONL))
    values = [{"n": number} for number in range(3000)]
    items, position, outcome = all_of(client, start(client, server.url))
    assert (items, outcome) == (values, Done({"statuses": []})) and position["at"] == 3000
    assert fold(client, server.url) == Done({"statuses": [], "value": values})
    assert fold(client, server.url, ("get", "n"), ("sum",)) == Done({"statuses": [], "value": sum(range(3000))})
    assert server.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("output", ["stream", "fold"])
def test_an_early_end_closes_the_connection(client: Client, serve: Serve, output: str) -> None:
    has_closed = threading.Event()

    def forever(connection: socket.socket) -> None:
        connection.sendall(SSE + b"\r\n")
        try:
            while True:
                connection.sendall(b'data: {"n": 1}\n\n')
        except OSError:
            has_closed.set()
            raise

    server = serve(forever)
    stages = ("get", "n"), ("first", 3), ("chunk", 2)
    if output == "fold":
        assert fold(client, server.url, *stages) == Done({"statuses": [], "value": [[1, 1], [1]]})
    else:
        items, position, outcome = all_of(client, start(client, server.url, *stages))
        assert (items, outcome) == ([[1, 1], [1]], Done({"statuses": []})) and position["over"]
    assert has_closed.wait(10)


def test_cancel_and_forget_close_the_connection(client: Client, serve: Serve) -> None:
    has_closed = [threading.Event(), threading.Event()]

    def wait(event: threading.Event) -> Act:
        def act(connection: socket.socket) -> None:
            connection.sendall(SSE + b"\r\n" + events(1))
            if connection.recv(1) == b"":
                event.set()

        return act

    server = serve(*(wait(event) for event in has_closed))
    cancelled, forgotten = (start(client, server.url) for _ in range(2))
    for id in (cancelled, forgotten):
        assert read(client, id).items == [1]
    client.connector.read(cancelled, None)
    client.connector.cancel(cancelled)
    client.connector.forget(forgotten)
    assert all(event.wait(10) for event in has_closed)
    client.loop.run_until(lambda: bool(client.loop.outcomes_of(cancelled)[1:]), poll_s=0.02)
    assert client.loop.outcomes_of(cancelled)[-1] == Cancelled() and len(client.loop.outcomes_of(forgotten)) == 1


def test_a_server_waits_as_long_as_nobody_asks(client: Client, serve: Serve) -> None:
    """What is read ahead is bounded, however much there is."""
    sent = 0
    is_stuck = threading.Event()

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.settimeout(1.0)  # by then all buffers are full
        connection.sendall(JSONL + b"\r\n")
        try:
            while True:
                sent += connection.send(b'{"n": 1}\n' * 1000)
        except TimeoutError:
            is_stuck.set()

    id = start(client, serve(pour).url)
    assert read(client, id).items
    assert is_stuck.wait(30) and sent < 64 << 20
    client.connector.cancel(id)


def test_a_failing_stage_comes_after_what_was_before_it(client: Client, serve: Serve) -> None:
    server = serve(framed(b'{"n": 1}\n{"n": 2}\n{"m": 3}\n{"n": 4}\n', JSONL))
    items, position, outcome = all_of(client, start(client, server.url, ("get", "n")))
    assert items == [1, 2] and position["at"] == 2 and isinstance(outcome, Failed) and "`n`" in outcome.error.message
    resumed = start(client, server.url, ("get", "n"), changes={"position": position, "is_resumed": True})
    assert all_of(client, resumed)[2].error.message == outcome.error.message
    assert isinstance(fold(client, server.url, ("get", "n"), ("sum",)), Failed)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (answer(404, "no"), "http"),
        (framed(b'{"a": 1}\n{oops\n', JSONL), "parse"),
        (answer(200, "x", "text/event-stream", Content_Encoding="gzip"), "parse"),
        (reset, "network"),
    ],
)
def test_what_cannot_be_read_is_one_error(client: Client, serve: Serve, data: Any, kind: str) -> None:
    outcome = fold(client, serve(data).url)
    assert isinstance(outcome, Failed) and outcome.error.kind == kind
    assert outcome.should_retry == (kind == "network")  # nothing had come: it is tried again as any request is


def test_no_content_is_an_empty_stream(client: Client, serve: Serve) -> None:
    assert fold(client, serve(NO_MORE).url, ("count",)) == Done({"statuses": [], "value": 0})
    assert fold(client, serve(NO_MORE).url) == Done({"statuses": [], "value": []})


# -- going on


ENDS: dict[str, Callable[[bytes], Any]] = {
    "cut in a length": lambda body: cut_after(SSE + b"Content-Length: 9999\r\n\r\n" + body + b"data: half"),
    "cut in a chunk": lambda body: cut_after(
        SSE + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (len(body) + 9) + body
    ),
    "closed": lambda body: cut_after(SSE + b"\r\n" + body),
    "ended well": framed,
}


@pytest.mark.parametrize("output", ["stream", "fold"])
@pytest.mark.parametrize("end", ENDS)
def test_it_goes_on_after_the_last_id(client: Client, serve: Serve, end: str, output: str) -> None:
    make = ENDS[end]
    server = serve(make(events(1, 2)), make(events(3)), answer(503, Retry_After="0"), make(events(4)), NO_MORE)
    if output == "fold":
        assert fold(client, server.url) == Done({"statuses": [], "value": [1, 2, 3, 4]})
    else:
        items, position, outcome = all_of(client, start(client, server.url))
        assert (items, outcome) == ([1, 2, 3, 4], Done({"statuses": []})) and position["id"] == "e4"
    asked = [seen.headers.get("last-event-id") for seen in server.seen]
    assert asked == [None, "e2", "e3", "e3", "e4"]


def test_events_cut_at_each_byte_come_once_each(client: Client, serve: Serve) -> None:
    whole = events(1, 2, 3)
    for at in range(0, len(whole), 3):
        had = whole[:at].count(b"\n\n")
        rest = events(*range(had + 1, 4))
        server = serve(ENDS["cut in a length"](whole[:at]), framed(rest) if rest else NO_MORE, NO_MORE)
        outcome = fold(client, server.url)
        if not had:  # nothing had come: that is the engine's to try again
            assert isinstance(outcome, Failed) and outcome.should_retry
        else:
            assert outcome == Done({"statuses": [], "value": [1, 2, 3]}), at


def test_a_server_that_does_not_know_of_ids_repeats_nothing(client: Client, serve: Serve) -> None:
    again = framed(events(1, 2, 3))
    assert fold(client, serve(again).url).value["value"] == [1, 2, 3]  # its end was the end
    cut = ENDS["cut in a length"](events(1, 2))
    assert fold(client, serve(cut, again, NO_MORE).url).value["value"] == [1, 2, 3]


def test_it_gives_up_after_as_many_failures_as_a_request(client: Client, serve: Serve) -> None:
    server = serve(cut_after(SSE + b"\r\n" + events(1)), reset)
    outcome = fold(client, server.url, retries=2)
    assert isinstance(outcome, Failed) and outcome.error.kind == "network" and not outcome.should_retry
    assert len(server.seen) == 1 + 3
    server = serve(cut_after(SSE + b"Content-Length: 999\r\n\r\n" + events(1)), answer(403))
    outcome = fold(client, server.url)
    assert isinstance(outcome, Failed) and outcome.error.fields["status"] == 403 and len(server.seen) == 2


def test_silence_counts_as_broken_off_where_a_time_out_is_given(client: Client, serve: Serve) -> None:
    def silent(connection: socket.socket) -> None:
        connection.sendall(SSE + b"\r\n" + events(1))
        connection.recv(1)

    server = serve(silent, framed(events(2)), NO_MORE)
    assert fold(client, server.url, timeout=Duration(3 * 10**8)).value["value"] == [1, 2]


LINES = b"".join(b'{"n": %d}\n' % number for number in range(5))


@pytest.mark.parametrize("at", [len(LINES) // 2, len(LINES) - 1])
def test_lines_without_ids_are_read_again_up_to_where_they_broke_off(
    client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(http_stream, "RECONNECT_MS", 1)
    cut = cut_after(JSONL + b"Content-Length: 9999\r\n\r\n" + LINES[:at])
    assert fold(client, serve(cut, framed(LINES, JSONL)).url, ("get", "n")).value["value"] == [0, 1, 2, 3, 4]
    for other in (LINES[9:], LINES[:9] + LINES[18:], LINES[:9]):
        outcome = fold(client, serve(cut, framed(other, JSONL)).url)
        assert isinstance(outcome, Failed) and outcome.error.kind == "network"
        assert "without ids" in outcome.error.message and not outcome.should_retry


def test_what_may_not_be_asked_again_ends_where_it_breaks_off(client: Client, serve: Serve) -> None:
    cut = cut_after(SSE + b"Content-Length: 9999\r\n\r\n" + events(1))
    for options in ({"method": "POST"}, {"changes": {"is_once": True}}):
        server = serve(cut)
        outcome = fold(client, server.url, **options)
        assert isinstance(outcome, Failed) and not outcome.should_retry and len(server.seen) == 1


# -- after a crash


@pytest.mark.parametrize("has_ids", [True, False])
def test_who_takes_it_over_goes_on_at_its_position(client: Client, serve: Serve, has_ids: bool) -> None:
    whole = framed(events(1, 2, 3)) if has_ids else framed(b"1\n2\n3\n", JSONL)
    rest = framed(events(3)) if has_ids else whole
    server = serve(whole, rest, NO_MORE)
    first = start(client, server.url, ("skip", 1), ("enumerate",))
    found = read(client, first)
    assert [each["item"] for each in found.items] == [2, 3]
    # Of these two only one was recorded.
    position = found.position | {"at": 2, "stages": _after_two(), **({"id": "e2"} if has_ids else _digests(b"1", b"2"))}
    client.connector.forget(first)
    second = start(
        client, server.url, ("skip", 1), ("enumerate",), changes={"position": json.loads(json.dumps(position))}
    )
    items, _, outcome = all_of(client, second)
    assert items == [{"index": 1, "item": 3}] and outcome == Done({"statuses": []})
    assert server.seen[1].headers.get("last-event-id") == ("e2" if has_ids else None)


def _after_two() -> Any:
    made = chain(("skip", 1), ("enumerate",))()
    made.feed([1, 2])
    return made.state()


def _digests(*came: bytes) -> dict[str, Any]:
    place = Place({})
    place.note([(None, each) for each in came])
    return place.position()


def test_what_cannot_go_on_after_a_crash_is_lost(client: Client, serve: Serve) -> None:
    server = serve(framed(b"7\n8\n9\n", JSONL), framed(events(1)))
    position = _digests(b"1", b"2") | {"stages": [], "over": False}
    changes = {"position": position, "is_resumed": True}
    for method, asked in (("GET", 1), ("POST", 1)):
        items, _, outcome = all_of(client, start(client, server.url, method=method, changes=changes))
        assert not items and isinstance(outcome, Failed) and outcome.error.kind == "lost" and not outcome.should_retry
        assert len(server.seen) == asked


def test_what_had_all_it_wanted_asks_for_nothing_more(client: Client, serve: Serve) -> None:
    server = serve(framed(events(1)))
    position = _digests(b"1") | {"stages": [0], "over": True}
    id = start(client, server.url, ("first", 1), changes={"position": position, "is_resumed": True})
    assert client.loop.outcome_of(id) == Done({"statuses": []}) and not server.seen
