"""Windows follow each other without a gap, in UTC, and every instant is in one."""

import calendar
from datetime import UTC, datetime
import math

from hypothesis import example, given
from hypothesis import strategies as st
import pytest

from core.config.security import Period
from core.quota.windows import window
from core.stores.counters.port import Window

PERIODS = st.sampled_from(["minute", "hour", "day", "month"])
LAST = datetime(9998, 12, 1, tzinfo=UTC).timestamp()
INSTANTS = st.floats(0, LAST)


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]  # year, month, day and perhaps more


@given(PERIODS, INSTANTS)
@example("month", math.nextafter(at(2028, 3, 1), 0))
@example("month", at(2028, 3, 1) - 1e-7)
@example("minute", math.nextafter(60.0, 0))
def test_every_instant_is_in_its_window_and_its_neighbours_join_it(period: Period, now: float) -> None:
    current = window(period, now)
    assert current.start <= now < current.end
    assert window(period, current.start) == current == window(period, math.nextafter(current.end, 0))
    following = window(period, current.end)
    assert following.start == current.end
    assert following.name != current.name
    if current.start > 0:
        assert window(period, math.nextafter(current.start, 0)).end == current.start


@given(PERIODS, INSTANTS)
def test_what_is_left_is_whole_seconds_of_at_least_one_that_reach_the_end(period: Period, now: float) -> None:
    current = window(period, now)
    left = current.seconds_to_end(now)
    assert 1 <= left <= current.end - current.start
    assert now + left >= current.end
    assert now + left - 1 <= current.end


@given(INSTANTS)
def test_a_month_is_that_of_the_calendar(now: float) -> None:
    day = datetime.fromtimestamp(math.floor(now), UTC)
    current = window("month", now)
    assert current.name == f"{day.year:04}-{day.month:02}"
    assert current.end - current.start == calendar.monthrange(day.year, day.month)[1] * 86_400


@pytest.mark.parametrize(
    ("period", "now", "expected"),
    [
        ("minute", 119.999, Window("1", 60, 120)),
        ("hour", 3600.0, Window("1", 3600, 7200)),
        ("day", at(1970, 1, 2, 23, 59, 59), Window("1", 86_400, 172_800)),
        ("month", at(2028, 2, 29, 23, 59, 59), Window("2028-02", int(at(2028, 2, 1)), int(at(2028, 3, 1)))),
        ("month", math.nextafter(at(2027, 3, 1), 0), Window("2027-02", int(at(2027, 2, 1)), int(at(2027, 3, 1)))),
        ("month", at(2027, 12, 31, 23, 59, 59), Window("2027-12", int(at(2027, 12, 1)), int(at(2028, 1, 1)))),
        ("month", at(2100, 2, 28), Window("2100-02", int(at(2100, 2, 1)), int(at(2100, 3, 1)))),
    ],
)
def test_the_edges_of_windows(period: Period, now: float, expected: Window) -> None:
    assert window(period, now) == expected


def test_after_its_end_a_window_still_says_one_second() -> None:
    assert Window("1", 60, 120).seconds_to_end(121.5) == 1
