"""Long polls and server-sent events over the store: what is new is looked for, first soon and then less often.

Who waits when the server ends is answered at once, as if the time were over; a stream ends, and can be gone on with.
"""

from __future__ import annotations

import asyncio
import time

from starlette.responses import StreamingResponse

from fmsh.builtins.text import plain_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any, TypeVar

    from starlette.requests import Request

    Found = TypeVar("Found")

POLL_S, POLL_S_MAX, POLL_GROWTH = 0.005, 0.25, 1.5
SILENCE_S_MAX = 15.0  # then a comment says that the stream lives, so that nothing between us cuts it


class Ending:
    """Whether the server is about to end; set by anybody, and looked at by all who wait."""

    __slots__ = ("is_near",)

    def __init__(self) -> None:
        self.is_near = False


async def until(
    look: Callable[[], Awaitable[Found]], is_it: Callable[[Found], bool], wait_s: float, ending: Ending
) -> Found:
    """Looks until it is there, or the time is over; gives what it saw last."""
    pause_s, until_s = POLL_S, time.monotonic() + wait_s
    while True:
        found = await look()
        left_s = until_s - time.monotonic()
        if is_it(found) or left_s <= 0 or ending.is_near:
            return found
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * POLL_GROWTH, POLL_S_MAX)


def is_stream_wanted(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def last_id(request: Request) -> int:
    """The number of the last event that a client had before its stream was cut; 0 if there is none."""
    text = request.headers.get("last-event-id", "")
    return int(text[:18]) if text.isascii() and text.isdigit() else 0


def stream(
    read: Callable[[int], Awaitable[tuple[list[dict[str, Any]], bool]]],
    after: int,
    type_field: str | None,
    ending: Ending,
) -> StreamingResponse:
    """Streams documents with a `seq`. `read(after)` gives those after one, and whether these were the last."""

    async def pieces() -> AsyncIterator[str]:
        seq, pause_s, said_s = after, POLL_S, time.monotonic()
        while True:
            found, is_over = await read(seq)
            for each in found:
                seq = each["seq"]
                kind = f"event: {each[type_field]}\n" if type_field is not None else ""
                yield f"id: {seq}\n{kind}data: {plain_json(each)}\n\n"
            if is_over or ending.is_near:
                return
            if found:
                pause_s, said_s = POLL_S, time.monotonic()
            elif time.monotonic() - said_s > SILENCE_S_MAX:
                said_s = time.monotonic()
                yield ": alive\n\n"
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, POLL_S_MAX)

    return StreamingResponse(pieces(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
