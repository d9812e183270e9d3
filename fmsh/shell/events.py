"""`fmsh publish TOPIC [JSON]` and `fmsh events [TOPIC]`: topics from the command line."""

from __future__ import annotations

import sys
import time

from fmsh import wire
from fmsh.errors import UsageError
from fmsh.exchange import check_publishable, event_document
from fmsh.store.sqlite import SqliteStore
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.settings import Settings
    from fmsh.store.base import EventStore
    from fmsh.store.outside import TopicEvent

PUBLISH_USAGE = "usage: fmsh publish TOPIC [JSON]"
EVENTS_USAGE = "usage: fmsh events [TOPIC] [--after SEQ] [--follow] [--json]"
PUBLISH_HELP = f"""{PUBLISH_USAGE}

Publishes an event for the jobs that subscribed to the topic, and prints its
number. The value is JSON if it parses, else text; null if left out.

Example: fmsh publish builds '{{"branch": "main", "ok": true}}'
"""
EVENTS_HELP = f"""{EVENTS_USAGE}

Shows what was published, to a topic or to all.

  --after SEQ   only what has a greater number
  --follow      go on with what is still to come, until Ctrl-C
  --json        a list of events; with --follow one on each line

Example: fmsh events builds --follow
"""
PAGE = 1000
POLL_S = 0.1


def publish(arguments: list[str], settings: Settings) -> int:
    """Publishes JSON if it parses, else text, and prints the number of the event."""
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(PUBLISH_HELP)
        return 0
    if not 1 <= len(arguments) <= 2 or not arguments[0]:
        raise UsageError("fmsh publish takes a topic and a value", hint=PUBLISH_USAGE)
    from fmsh.builtins.answers import read_answer

    try:
        topic = check_publishable(arguments[0])
    except Raised as problem:
        raise UsageError(problem.error.message, hint=str(problem.error.fields.get("hint", ""))) from None
    value = read_answer(arguments[1] if len(arguments) == 2 else None, {})
    store = SqliteStore.open(settings.state_directory, kind="shell")
    try:
        now_ms = time.time_ns() // 10**6
        seq = store.publish(topic, wire.encode(value), dedupe_id=None, at_ms=now_ms)
    finally:
        store.close()
    sys.stdout.write(f"{seq}\n")
    return 0


def events(arguments: list[str], settings: Settings) -> int:
    """Shows the events of a topic, or of all; with `--follow` also those to come."""
    topic, after, flags = _options(arguments)
    if "--help" in flags:
        sys.stdout.write(EVENTS_HELP)
        return 0
    store = SqliteStore.open(settings.state_directory, kind="shell")
    try:
        _show(store, topic, after, is_following="--follow" in flags, is_json="--json" in flags)
    finally:
        store.close()
    return 0


def _options(arguments: list[str]) -> tuple[str | None, int, set[str]]:
    words: list[str] = []
    flags: set[str] = set()
    after, waiting = 0, list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--after" and waiting and waiting[0].isascii() and waiting[0].isdigit():
            after = int(waiting.pop(0))
        elif argument in ("--follow", "-f"):
            flags.add("--follow")
        elif argument in ("--json", "--help", "-h"):
            flags.add("--help" if argument == "-h" else argument)
        elif argument.startswith("-") or words:
            raise UsageError(f"fmsh events does not take {argument}", hint=EVENTS_USAGE)
        else:
            words.append(argument)
    return (words[0] if words else None), after, flags


def _show(store: EventStore, topic: str | None, after: int, *, is_following: bool, is_json: bool) -> None:
    from fmsh.builtins.text import plain_json

    shown = []
    version = -1
    while True:
        found = store.topic_events(topic, after=after, limit=PAGE)
        for event in found:
            after = event.seq
            if is_json and not is_following:
                shown.append(event_document(event))
            else:
                sys.stdout.write(plain_json(event_document(event)) + "\n" if is_json else _line(event))
        if len(found) == PAGE:
            continue
        if not is_following:
            break
        sys.stdout.flush()
        while version == (version := store.data_version()):
            time.sleep(POLL_S)
    if is_json:
        sys.stdout.write(plain_json(shown) + "\n")


def _line(event: TopicEvent) -> str:
    from fmsh.builtins.text import plain_json
    from fmsh.render.cells import visible

    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at_ms // 1000))
    return f"{event.seq:>6}  {at}  {visible(event.topic)}  {visible(plain_json(wire.decode(event.data_json)))}\n"
