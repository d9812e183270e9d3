"""What the code of `every` and `cron` calls: pure functions on schedules, turns and the jobs of turns."""

from __future__ import annotations

from fmsh.values import ErrorValue, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Value


def schedule(when: str, value: Value, zone: str, overlap: str, missed: str) -> dict[str, Value]:
    """A schedule, as `fmsh.schedule` knows it."""
    if when == "every" and value.nanoseconds < 1000:
        raise raised("type", "`every` takes a time from one turn to the next", hint="such as `every 1h { … }`")
    return {when: value, "zone": zone, "overlap": overlap, "missed": missed}


def no_turn() -> None:
    """The turn before the first."""


def no_jobs() -> list[Value]:
    return []


def is_due(turn: dict[str, Value]) -> bool:
    return turn["runs"] is True


def turn_field(turn: dict[str, Value], name: str) -> Value:
    return turn[name]


def turn_over(turn: dict[str, Value], now: Value) -> dict[str, Value]:
    return {**turn, "free_at": now}


def with_job(running: list[Value], job: Value) -> list[Value]:
    return [*running, job]


def without_jobs(running: list[Value], over: list[Value]) -> list[Value]:
    ended = {handle.id for handle, _error in over}
    return [handle for handle in running if handle.id not in ended]


def failed_turns(over: list[Value]) -> list[Value]:
    """Of jobs that have ended, as (handle, error or null), those that failed."""
    return [[handle, error] for handle, error in over if error is not None]


def has_failed(failed: list[Value]) -> bool:
    return bool(failed)


def failed_turn(failed: list[Value]) -> ErrorValue:
    error: ErrorValue = failed[0][1]
    return error


def failed_turns_text(failed: list[Value]) -> tuple[str, str]:
    return "".join(f"job {handle.id} failed: {error.message}\n" for handle, error in failed), "err"
