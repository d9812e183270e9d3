"""The line that tells what a job is at: what, how long, and how much is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fmsh.render.cells import visible, width
from fmsh.render.doing import Count, Doing, doing_text

NOW_MS = 1_000_000
GET = "GET https://ci.local/builds/7"


def shown(*doing: Doing, count: Count | None = None, columns: int = 80) -> str:
    return doing_text(doing, count, NOW_MS, columns=columns)


def test_what_is_asked_for_has_the_time_that_it_took_so_far() -> None:
    assert shown(Doing(GET, NOW_MS - 65_400)) == f"{GET}  1m 5s"
    assert shown(Doing(GET, NOW_MS - 400)) == GET
    assert shown() == ""


def test_what_has_an_end_has_the_time_that_is_left() -> None:
    assert shown(Doing("sleep 30s", NOW_MS - 3_400, NOW_MS + 26_600)) == "sleep 30s  27s left"
    assert shown(Doing("sleep 30s", NOW_MS - 30_000, NOW_MS - 100)) == "sleep 30s  0s left"


def test_a_next_try_has_its_reason_its_number_and_its_time() -> None:
    waits = Doing(f"{GET} was answered with 503", NOW_MS - 9_000, NOW_MS + 7_001, 3)
    assert shown(waits) == f"{GET} was answered with 503; try 3 in 8s"


def test_of_many_things_the_oldest_is_named_and_all_are_counted() -> None:
    doing = [Doing("b", NOW_MS - 1000), Doing("a", NOW_MS - 2000), Doing("c", NOW_MS)]
    assert shown(*doing) == "3 at once  a  2s"
    assert shown(*doing, count=Count(7, 60)) == "7 of 60 done, 3 at once  a  2s"
    assert shown(doing[0], count=Count(7, None)) == "7 done  b  1s"
    assert shown(count=Count(0, 2)) == "0 of 2 done"


def test_what_is_asked_for_is_cut_before_the_figures() -> None:
    doing = [Doing("x" * 100, NOW_MS - 2000), Doing("c", NOW_MS)]
    assert shown(*doing, columns=40) == f"2 at once  {'x' * 24}…  2s"


@given(st.lists(st.tuples(st.text(), st.integers(-10, 10**6), st.none() | st.integers(), st.integers(1, 9))))
def test_it_fits_and_nothing_raw_reaches_the_terminal(found: list[tuple[str, int, int | None, int]]) -> None:
    doing = [Doing(label, since, due, attempt) for label, since, due, attempt in found]
    for columns in (1, 12, 30, 79):
        text = shown(*doing, count=Count(1, 2), columns=columns)
        assert width(text) <= columns and text == visible(text)
