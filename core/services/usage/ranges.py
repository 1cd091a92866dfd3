"""Which days a query is about: whole days of UTC, as whole days since 1970-01-01."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from core.errors import InvalidRequest

DAY: Final = 86_400  # seconds
USUAL_DAYS: Final = 30
EPOCH: Final = date(1970, 1, 1).toordinal()
LONGEST_SECONDS: Final = 11  # digits


@dataclass(frozen=True, slots=True)
class Days:
    """From `first` to `last`."""

    first: int
    last: int

    @property
    def since(self) -> int:
        """Unix seconds of its beginning."""
        return self.first * DAY

    @property
    def until(self) -> int:
        """Unix seconds of its end, which is no part of it."""
        return (self.last + 1) * DAY


def days_between(since: str | None, until: str | None, *, now: float, retention_days: int) -> Days:
    """The days from `since` on and before `until`, both as a query has them; usage is kept for so many days.

    Raises:
        InvalidRequest: they are no moments, in the wrong order, or older than what is kept.
    """
    today = int(now) // DAY
    end = (today + 1) * DAY if until is None else _seconds(until, "until")
    start = end - USUAL_DAYS * DAY if since is None else _seconds(since, "since")
    return check_days(start, end, today=today, retention_days=retention_days, names=("since", "until"))


def check_days(start: int, end: int, *, today: int, retention_days: int, names: tuple[str, str]) -> Days:
    """The days from `start` on and before `end`, in Unix seconds; what is to come has no usage.

    Raises:
        InvalidRequest: as `days_between`; `names` are those of the two in the query.
    """
    if end <= start:
        raise InvalidRequest(f"`{names[1]}` must be after `{names[0]}`.", param=names[1])
    first = start // DAY
    if first < today - retention_days:
        raise InvalidRequest(
            f"Usage is kept {retention_days} days: `{names[0]}` may be {day_text(today - retention_days)} at the earliest.",
            param=names[0],
        )
    return Days(first, max(first, min((end - 1) // DAY, today + 1)))  # tomorrow's: another clock may be ahead


def day_text(day: int) -> str:
    """As YYYY-MM-DD."""
    return date.fromordinal(EPOCH + day).isoformat()


def _seconds(text: str, name: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= LONGEST_SECONDS:
        return int(text)
    try:
        return int(datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).timestamp())
    except ValueError:
        raise InvalidRequest(f"`{name}` must be Unix seconds or a day as 2027-01-31.", param=name) from None
