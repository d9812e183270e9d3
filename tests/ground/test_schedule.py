"""When turns come: patterns of times in zones with summer time, clocks that are set, and turns that were missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fmsh import schedule
from fmsh.values import Duration, Raised

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)
NINE = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def times(text: str, after: str, count: int) -> list[str]:
    pattern, moment = schedule.parse(text), datetime.fromisoformat(after).replace(tzinfo=BERLIN)
    found = []
    for _ in range(count):
        moment = schedule.next_time(pattern, moment, BERLIN)
        found.append(moment.isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 9 * * 1-5", "2026-11-20T09:00", ["2026-11-23T09:00+01:00", "2026-11-24T09:00+01:00"]),
        ("*/20 8,17 * * *", "2026-11-20T08:30", ["2026-11-20T08:40+01:00", "2026-11-20T17:00+01:00"]),
        ("0 0 29 feb *", "2026-11-20T09:00", ["2028-02-29T00:00+01:00", "2032-02-29T00:00+01:00"]),
        ("0 0 13 * fri", "2026-11-20T09:00", ["2026-11-27T00:00+01:00", "2026-12-04T00:00+01:00"]),
        ("0 0 */13 * 7", "2026-11-20T09:00", ["2026-12-27T00:00+01:00", "2027-02-14T00:00+01:00"]),
        ("@hourly", "2026-11-20T09:59", ["2026-11-20T10:00+01:00", "2026-11-20T11:00+01:00"]),
        # 02:00 to 03:00 is left out on 29 March, and comes twice on 25 October
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("*/30 * * * *", "2026-03-29T01:15", ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"]),
        ("0 * * * *", "2026-10-25T01:30", ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]),
        ("*/30 2 * * *", "2026-03-29T01:15", ["2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00"]),
    ],
)
def test_a_pattern_names_the_times_that_clocks_in_its_zone_show(text: str, after: str, expected: list[str]) -> None:
    assert times(text, after, len(expected)) == expected


@pytest.mark.parametrize(
    "text", ["* * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "5-1 * * * *", "*/0 * * * *", "a * * * *"]
)
def test_a_pattern_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(Raised):
        schedule.parse(text)


def test_a_date_that_never_comes_is_an_error() -> None:
    with pytest.raises(Raised, match="there is no time"):
        times("0 0 30 2 *", "2026-11-20T09:00", 1)


# ---- Turns


def made(when: str = "cron", **given: str) -> dict[str, Any]:
    value = "0 * * * *" if when == "cron" else Duration(3600 * 10**9)
    return {when: value, "zone": "", "overlap": "skip", "missed": "once", **given}


def planned(of: dict[str, Any], now: datetime, last: Any = None) -> Any:
    return schedule.plan(of, last, now)


@pytest.mark.parametrize("when", ["every", "cron"])
def test_the_first_turn_comes_after_one_interval(when: str) -> None:
    turn = planned(made(when), NINE)
    assert turn["at"] == NINE + HOUR and turn["wait"] == Duration(3600 * 10**9)
    assert schedule.check(made(when), turn, NINE + HOUR)["runs"] is True


@pytest.mark.parametrize("when", ["every", "cron"])
@pytest.mark.parametrize(("missed", "runs", "at"), [("once", True, 5), ("skip", False, 5), ("all", True, 1)])
def test_turns_that_were_missed(when: str, missed: str, runs: bool, at: int) -> None:
    of = made(when, missed=missed)
    turn = schedule.check(of, planned(of, NINE), NINE + 5.5 * HOUR)
    assert turn["runs"] is runs and turn["at"] == NINE + at * HOUR
    assert planned(of, NINE + 5.5 * HOUR, turn)["at"] == NINE + (at + 1) * HOUR


def test_of_missed_turns_the_one_that_is_due_now_is_not_missed() -> None:
    of = made(missed="skip")
    turn = schedule.check(of, planned(of, NINE), NINE + 5 * HOUR + timedelta(seconds=20))
    assert turn["runs"] is True and turn["at"] == NINE + 5 * HOUR


def test_years_of_missed_turns_are_counted_at_once() -> None:
    of = made() | {"cron": "* * * * *"}
    turn = schedule.check(of, planned(of, NINE), NINE + timedelta(days=2000, seconds=90))
    assert turn["at"] == NINE + timedelta(days=2000, minutes=1)


@pytest.mark.parametrize("when", ["every", "cron"])
@pytest.mark.parametrize(("overlap", "at", "runs"), [("skip", 4, True), ("queue", 2, True), ("allow", 2, False)])
def test_turns_that_came_while_one_was_running(when: str, overlap: str, at: int, runs: bool) -> None:
    of = made(when, overlap=overlap, missed="skip")
    first = schedule.check(of, planned(of, NINE), NINE + HOUR)
    over = NINE + 3.5 * HOUR
    turn = planned(of, over, {**first, "free_at": over})
    assert turn["at"] == NINE + at * HOUR
    assert schedule.check(of, turn, max(over, turn["at"]))["runs"] is runs


def test_a_clock_that_is_set_back_a_little_repeats_no_turn_of_cron() -> None:
    of = made()
    turn = schedule.check(of, planned(of, NINE), NINE + HOUR)
    assert planned(of, NINE + 0.5 * HOUR, turn)["at"] == NINE + 2 * HOUR


@pytest.mark.parametrize("when", ["every", "cron"])
def test_after_a_clock_is_put_right_turns_come_by_what_it_says_now(when: str) -> None:
    of = made(when)
    turn = schedule.check(of, planned(of, NINE + timedelta(days=400)), NINE + timedelta(days=400) + HOUR)
    assert planned(of, NINE, turn)["at"] == NINE + HOUR


def test_an_interval_is_not_longer_for_a_clock_that_was_set_back() -> None:
    of = made("every")
    turn = schedule.check(of, planned(of, NINE), NINE)  # an hour has passed, and the clock was set back by it
    assert turn["runs"] is True
    assert planned(of, NINE, turn)["wait"] == Duration(3600 * 10**9)
