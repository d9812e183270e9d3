"""When the turns of `every` and `cron` come, and which of those that were missed are made up for.

A schedule is a record: `{"every": duration}` or `{"cron": text, "zone": name}`, with `overlap` and `missed`. A turn is
a record too: `at`, when it was planned; `wait`, how long that is from when it was planned; `runs`, whether it is due;
`free_at`, when the turn before it was over.

Times of `cron` are those of the clocks in its zone. As in Vixie's cron, a turn at a fixed time that a change to summer
time leaves out comes right after the change, and one whose time comes twice runs the first time; a pattern with `*` in
its minutes or hours goes by each minute that there is. A clock that was set back by more than three hours has been put
right, and planning begins anew from what it says now; one that was set back by less does not repeat a turn.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from fmsh.record import Record
from fmsh.values import Duration, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.values import Value

SET_BACK_MAX = timedelta(hours=3)  # as in Vixie's cron
LATE_MAX = timedelta(minutes=1)  # a turn that could not begin within the minute of its time was missed
YEARS_MAX = 9  # from one 29 February to the next there can be eight
MINUTE = timedelta(minutes=1)

OVERLAPS = ("skip", "queue", "allow")
MISSED = ("once", "skip", "all")


# ---- Turns -----------------------------------------------------------------------------------------------------------


def plan(schedule: dict[str, Value], last: Value, now: datetime) -> Value:
    """The turn that follows `last`, or the first. Raises: Raised: the schedule has none."""
    following = _following(schedule)
    if last is None or last["at"] - now > SET_BACK_MAX:
        at = following(now, now)
    elif schedule["overlap"] == "skip":
        at = following(last["at"], max(last["at"], last.get("free_at") or last["at"]))
    else:
        at = following(last["at"], last["at"])
    microseconds = max(at - now, timedelta()) // timedelta(microseconds=1)
    free_at = None if last is None else last.get("free_at")
    return {"at": _fixed(at), "wait": Duration(microseconds * 1000), "free_at": free_at, "runs": False}


def check(schedule: dict[str, Value], turn: dict[str, Value], now: datetime) -> Value:
    """The turn when its wait is over: whether it runs; of several that were missed, which one it stands for."""
    at = turn["at"]
    if now < at:  # the clock was set back meanwhile
        return {**turn, "at": _fixed(now) if "every" in schedule else at, "runs": True}
    following = _following(schedule)
    is_queued = schedule["overlap"] == "queue" and turn["free_at"] is not None and at <= turn["free_at"]
    if is_queued or (now - at <= LATE_MAX and following(at, at) > now) or schedule["missed"] == "all":
        return {**turn, "runs": True}
    newest = _newest(following, at, now)
    return {**turn, "at": _fixed(newest), "runs": schedule["missed"] == "once" or now - newest <= LATE_MAX}


def _following(schedule: dict[str, Value]) -> Callable[[datetime, datetime], datetime]:
    """A function that gives the first time after a moment, as `(a planned time, the moment)`."""
    if "every" in schedule:
        pause = timedelta(microseconds=schedule["every"].nanoseconds / 1000)
        return lambda planned, after: planned + pause * ((after - planned) // pause + 1)
    pattern, zone = parse(schedule["cron"]), zone_of(schedule["zone"])
    return lambda planned, after: next_time(pattern, after, zone)


def _newest(following: Callable[[datetime, datetime], datetime], at: datetime, now: datetime) -> datetime:
    """The last planned time that is not after now, without going through all of a long absence."""
    back = timedelta(hours=1)
    while now - back > at and following(at, now - back) > now:
        back *= 24
    newest = at if now - back <= at else following(at, now - back)
    while (later := following(newest, newest)) <= now:
        newest = later
    return newest


def _fixed(moment: datetime) -> datetime:
    """The same moment with a fixed offset."""
    offset = moment.utcoffset() or timedelta()
    return moment.replace(tzinfo=timezone(offset) if offset else UTC)


# ---- Patterns of times -----------------------------------------------------------------------------------------------


class Pattern(Record):
    """Which minutes match. `is_fixed`: it names a time of day; `either`: one of the two kinds of days is enough."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    is_fixed: bool
    either: bool

    def has_date(self, moment: datetime) -> bool:
        if moment.month not in self.months:
            return False
        by_day, by_weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either else by_day and by_weekday


SHORT = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("days", 1, 31, {}),
    ("months", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("weekdays", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
HINT = 'minute, hour, day, month, weekday, such as `cron "0 9 * * 1-5"` or `cron @daily`'


def parse(text: str) -> Pattern:
    """Reads the five fields of a crontab. Raises: Raised."""
    parts = SHORT.get(text.strip().lower(), text).split()
    if len(parts) != len(_FIELDS):
        raise raised("type", f"a pattern of times has five fields, {text!r} has {len(parts)}", hint=HINT)
    minutes, hours, days, months, weekdays = (_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True))
    is_fixed = not (parts[0].startswith("*") or parts[1].startswith("*"))
    either = not (parts[2].startswith("*") or parts[4].startswith("*"))
    weekdays = frozenset(day % 7 for day in weekdays)
    return Pattern(minutes, hours, days, months, weekdays, is_fixed, either)


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, has_step, step_text = part.partition("/")
        first_text, has_end, last_text = span.partition("-")
        first = low if span == "*" else names.get(first_text, _number(first_text))
        last = names.get(last_text, _number(last_text)) if has_end else high if span == "*" or has_step else first
        step = _number(step_text) if has_step else 1
        if not low <= first <= last <= high or step < 1:
            message = f"{part!r} is nothing for the {name} of a pattern of times, which go from {low} to {high}"
            raise raised("type", message, hint=HINT)
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else -1


def zone_of(name: str) -> tzinfo:
    """Raises: Raised: there is no such zone."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        raise raised("type", f"there is no time zone {name!r}", hint="such as --tz Europe/Berlin") from None


def next_time(pattern: Pattern, after: datetime, zone: tzinfo) -> datetime:
    """The first matching minute after a moment. Raises: Raised: there is none in years."""
    search = _next_fixed if pattern.is_fixed else _next_of_all
    return search(pattern, after.astimezone(UTC), zone)


def _next_of_all(pattern: Pattern, after: datetime, zone: tzinfo) -> datetime:
    """By each minute that there is, also one that the clocks show a second time."""
    moment = after.replace(second=0, microsecond=0) + MINUTE
    end = after + timedelta(days=366 * YEARS_MAX)
    while moment < end:
        local = moment.astimezone(zone)
        if not pattern.has_date(local):
            day = local.replace(hour=0, minute=0, fold=0) + timedelta(days=1)
            moment = max(day.astimezone(UTC), moment + MINUTE)
        elif local.hour not in pattern.hours:
            moment += timedelta(minutes=60 - local.minute)
        elif local.minute not in pattern.minutes:
            moment += MINUTE
        else:
            return local
    raise _never()


def _next_fixed(pattern: Pattern, after: datetime, zone: tzinfo) -> datetime:
    """By what a clock on the wall shows, each time once."""
    day = after.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(366 * YEARS_MAX):
        if pattern.has_date(day):
            for hour in sorted(pattern.hours):
                for minute in sorted(pattern.minutes):
                    found = _first_at(day.replace(hour=hour, minute=minute), zone)
                    if found > after:
                        return found.astimezone(zone)
        day += timedelta(days=1)
    raise _never()


def _first_at(local: datetime, zone: tzinfo) -> datetime:
    """When clocks show a time first; of one that they leave out, when they go on behind it."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    early = local.replace(tzinfo=zone, fold=1).astimezone(UTC)  # before the change; `moment` is behind it
    offset = early.astimezone(zone).utcoffset()
    while moment - early > timedelta(seconds=1):
        middle = early + (moment - early) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            early = middle
        else:
            moment = middle
    return moment.replace(microsecond=0)


def _never() -> Exception:
    return raised("type", "there is no time that this pattern names", hint="such as 30 February")
