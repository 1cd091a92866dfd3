"""Fixed windows of time, in UTC: the same for every client and every process."""

from dataclasses import dataclass
from datetime import UTC, datetime
import math
from typing import Final

from core.config.security import Period

LENGTHS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
DECEMBER: Final = 12


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`, in Unix seconds; `name` is unique among those of a period."""

    name: str
    start: int
    end: int

    def seconds_to_end(self, now: float) -> int:
        """To its end, rounded up: at least 1 within the window, and also after it."""
        return max(1, math.ceil(self.end - now))


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
