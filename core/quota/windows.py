"""Fixed windows of time, in UTC: the same for every client and every process."""

from datetime import UTC, datetime
from functools import lru_cache
import math
from typing import Final

from core.config.security import Period
from core.stores.counters.port import Counter, Window

LENGTHS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
DECEMBER: Final = 12
ALWAYS: Final[tuple[Period, ...]] = ("day", "month")
"""What is counted though nothing limits it, so that a limit which is set later knows what was used."""


def counters(period: Period, now: float, further: tuple[Period, ...] = ()) -> tuple[Counter, ...]:
    """Those of the period, which come first, those that are always counted, and `further` ones."""
    return _counters(period, math.floor(now / LENGTHS["minute"]), further)


@lru_cache(maxsize=16)
def _counters(period: Period, minute: int, further: tuple[Period, ...]) -> tuple[Counter, ...]:
    """No window ends within a minute."""
    now = minute * LENGTHS["minute"]
    return tuple(Counter(name, window(name, now)) for name in dict.fromkeys((period, *ALWAYS, *further)))


def window(period: Period, now: float) -> Window:
    """The one that `now`, in Unix seconds, is in."""
    if period == "month":
        return _month(now)
    length = LENGTHS[period]
    number = math.floor(now / length)
    return Window(str(number), number * length, (number + 1) * length)


def _month(now: float) -> Window:
    day = datetime.fromtimestamp(math.floor(now), UTC)  # whole: a datetime rounds up what is past its microseconds
    after = (day.year + 1, 1) if day.month == DECEMBER else (day.year, day.month + 1)
    return Window(f"{day.year:04}-{day.month:02}", _first(day.year, day.month), _first(*after))


def _first(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
