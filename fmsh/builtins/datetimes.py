"""Commands on datetimes.

A datetime always has an offset, and a fixed one: a zone is looked up once, when one is asked for.
Text without an offset is an error unless `--tz` says the zone: what zone a program means is not to be guessed here.
"""

from __future__ import annotations

from fmsh.builtins.complaints import did_you_mean, mismatch, need_text, too_much, unreadable, wrong_value
from fmsh.builtins.declare import builtin, flag, optional, required
from fmsh.builtins.text import datetime_text
from fmsh.values import a_kind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value

RFC_3339 = "rfc3339"


def datetime_(value: Value) -> Value:
    """Makes a datetime of RFC 3339 text, or of seconds since 1970.

    > 0 | datetime
    1970-01-01T00:00:00Z
    """
    from datetime import UTC, datetime, timedelta

    if kind_of(value) == "datetime":
        return value
    if type(value) in (int, float):
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(value * 10**6))
        except (OverflowError, ValueError):
            raise too_much("the datetime is outside the years 1 to 9999") from None
    if type(value) is str:
        return parse(value)
    raise mismatch(f"{a_kind(kind_of(value))} cannot become a datetime")


def parse(text: str, format: Value = None, *, tz: Value = None) -> Value:
    """Reads a datetime: RFC 3339, or by a format with `%Y %m %d %H %M %S %z` and so on. `--tz` is for text without an
    offset.

    > "2026-12-24T18:00+01:00" | datetime parse
    2026-12-24T18:00:00+01:00

    > "24.12.2026 18:00" | datetime parse "%d.%m.%Y %H:%M" --tz UTC
    2026-12-24T18:00:00Z
    """
    from datetime import datetime

    try:
        if format is None:
            found = datetime.fromisoformat(text.strip())
        else:
            found = datetime.strptime(text.strip(), need_text(format, "the format of `datetime parse`"))
    except ValueError:
        form = "RFC 3339 (`2026-12-24T18:00:00Z`)" if format is None else f"the format {format!r}"
        hint = "`datetime parse FORMAT` reads others" if format is None else f"it begins with {text[:30]!r}"
        raise unreadable(f"the text is not a datetime in {form}", hint=hint) from None
    if found.tzinfo is not None:
        return _fixed(found)
    if tz is None:
        raise unreadable(
            "the datetime has no offset", hint="end it with `Z` or `+01:00`, or say `datetime parse --tz ZONE`"
        )
    return _fixed(found.replace(tzinfo=_zone(tz)))


def format(value: Value, form: Value = RFC_3339) -> Value:
    """Writes a datetime by a format with `%Y %m %d %H %M %S %z` and so on; without one as RFC 3339.

    > 0 | datetime | datetime format "%d.%m.%Y"
    01.01.1970
    """
    moment = _need_datetime(value, "datetime format")
    if form == RFC_3339:
        return datetime_text(moment)
    try:
        return moment.strftime(need_text(form, "the format of `datetime format`"))
    except (ValueError, UnicodeError):
        raise wrong_value("the format cannot be used") from None


def in_zone(value: Value, zone: Value) -> Value:
    """Gives the same moment with the offset that a zone has at it.

    > 0 | datetime | datetime in-zone Europe/Berlin
    1970-01-01T01:00:00+01:00
    """
    try:
        return _fixed(_need_datetime(value, "datetime in-zone").astimezone(_zone(zone)))
    except OverflowError:
        raise too_much("the datetime is outside the years 1 to 9999") from None


def parts(value: Value) -> Value:
    """Takes a datetime apart. `weekday` is 1 (Monday) to 7; `unix` is seconds since 1970.

    > 0 | datetime | datetime parts | get weekday
    4
    """
    moment = _need_datetime(value, "datetime parts")
    offset = moment.utcoffset()
    return {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
        "microsecond": moment.microsecond,
        "offset_seconds": 0 if offset is None else int(offset.total_seconds()),
        "weekday": moment.isoweekday(),
        "day_of_year": moment.timetuple().tm_yday,
        "unix": moment.timestamp(),
    }


def _need_datetime(value: Value, name: str) -> datetime:
    kind = kind_of(value)
    if kind != "datetime":
        hint = "convert with `| datetime`" if kind in ("string", "int", "float") else ""
        raise mismatch(f"the input of `{name}` must be a datetime, not {a_kind(kind)}", hint=hint)
    return value  # type: ignore[no-any-return]


def _zone(name: Value) -> ZoneInfo:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(need_text(name, "a time zone"))
    except (KeyError, ValueError, OSError):
        raise wrong_value(f"there is no time zone {name!r}", hint=_near_zone(name, available_timezones())) from None


def _near_zone(name: str, zones: set[str]) -> str:
    return did_you_mean(name, sorted(zones)) or "zones are named like `Europe/Berlin`"


def _fixed(moment: datetime) -> datetime:
    from datetime import UTC, timedelta, timezone

    offset = moment.utcoffset() or timedelta()
    return moment.replace(tzinfo=timezone(offset) if offset else UTC)


BUILTINS: tuple[Builtin, ...] = (
    builtin("datetime", datetime_),
    builtin("datetime parse", parse, optional("format", "string"), flag("tz", "string"), input="text"),
    builtin("datetime format", format, optional("form", "string", RFC_3339)),
    builtin("datetime in-zone", in_zone, required("zone", "string")),
    builtin("datetime parts", parts),
)
