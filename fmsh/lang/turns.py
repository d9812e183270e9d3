"""What generated code calls for `retry` and `poll`: whether there is another turn, and when."""

from __future__ import annotations

from fmsh.machine.code import NOT_YET
from fmsh.values import Duration, ErrorValue, Handle, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.values import Value

TIMES_DEFAULT = 3
BACKOFF_DEFAULT, BACKOFF_MAX_DEFAULT = Duration(10**9), Duration(60 * 10**9)
POLL_DEFAULT = Duration(10 * 10**9)
_AGAIN = Handle("again", "", {})  # what a try that failed gives; no program sees it


def retry_policy(times: Value, backoff: Value, longest: Value) -> list[Value]:
    times = TIMES_DEFAULT if times is None else times
    if times < 1:
        raise raised("type", "--times counts all tries, so it is at least 1")
    return [times, BACKOFF_DEFAULT if backoff is None else backoff, BACKOFF_MAX_DEFAULT if longest is None else longest]


def next_turn(turn: int) -> int:
    return turn + 1


def no_keys() -> dict[str, Value]:
    """What `fmsh.machine.retrying` knows of the requests of a retry, before its first turn."""
    return {"steps": {}}


def keys_of_turn(keys: Value) -> dict[str, Value]:
    """The same for the turn that begins. A job that an older fmsh began has none."""
    return {"steps": keys["steps"] if type(keys) is dict else {}, "seen": {}}


def check_retry(error: ErrorValue, policy: list[Value], turn: int, condition: Callable[[Value], Value] | None) -> bool:
    """Whether a failed try is followed by another. Raises the error where it is not."""
    from fmsh.values import Raised

    if turn >= policy[0] or (condition is not None and condition(error) is not True):
        raise Raised(error)
    return True


def retry_wait(policy: list[Value], turn: int, part: float) -> Duration:
    """The pause after a try: doubled each time, up to the longest; `part` from 0 to 1 makes it half to whole."""
    _times, backoff, longest = policy
    doubled = backoff.nanoseconds * 2 ** min(turn - 1, 62)
    return Duration(round(min(doubled, longest.nanoseconds) * (1 + part) / 2))


def again() -> Handle:
    return _AGAIN


def is_again(value: Value) -> bool:
    return isinstance(value, Handle) and value.kind == _AGAIN.kind


def poll_pause() -> Duration:
    return POLL_DEFAULT


def poll_failure(error: ErrorValue) -> Handle:
    """What `poll` takes for "not yet". Raises any other error again."""
    if error.kind != "exit" and error.fields.get("retryable") is not True:
        from fmsh.values import Raised

        raise Raised(error)
    return Handle(NOT_YET, "", {"error": error})


def is_found(value: Value) -> bool:
    return value is not None and value is not False and not (type(value) is Handle and value.kind == NOT_YET)
