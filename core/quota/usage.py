"""What a call is counted as in the usage: the rows of its models, under the day on which it began, and whose it is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
import math
from typing import Final
from urllib.parse import quote

from core.frame.callers import Call, Charge, Principal, UsageRow
from core.stores.counters.port import Use

DAY: Final = 86_400  # seconds
MOST: Final = 1024  # callers' teams that are remembered as text


def teams_of(principal: Principal) -> str:
    """As a store has them: sorted, quoted and joined by `+`."""
    teams = principal.attributes.get("teams")
    return _join(tuple(teams)) if teams else ""


@lru_cache(MOST)
def _join(teams: tuple[str, ...]) -> str:
    return "+".join([quote(team, safe="", errors="surrogatepass") for team in sorted(teams)])


@dataclass(slots=True, eq=False)
class Entry:
    """What one call comes to. Its `requests` are those that are not counted yet."""

    call: Call
    day: int
    expires: int
    teams: str
    requests: int

    def begin(self, *, holds: bool) -> Use:
        """For the write that admits the call. What `holds` has its rows when it is settled; else the requests are all that there is to count."""
        requests, self.requests = self.requests, self.requests if holds else 0
        return self._use(() if holds or not requests else (self._requests(requests),))

    def end(self, charge: Charge) -> Use | None:
        """For the write that settles it: its requests are of the model that was asked for, where that answered. None: nothing is to be counted."""
        requests, self.requests = self.requests, 0
        rows = charge.rows
        if requests:
            first = self._requests(requests)
            if any(row.key == charge.target for row in rows):
                rows = tuple(row + first if row.key == charge.target else row for row in rows)
            else:
                rows = (first, *rows)
        return self._use(rows) if rows else None

    def _requests(self, number: int) -> UsageRow:
        observed = self.call.observed
        return UsageRow(api=observed.api, operation=observed.operation, requests=number)

    def _use(self, rows: tuple[UsageRow, ...]) -> Use:
        return Use(self.day, rows, self.teams, self.expires)


class Diary:
    """Begins the entries of calls, each of which is kept for so many days after its own."""

    def __init__(self, retention_days: int, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._retention = retention_days
        self._clock = clock

    def begin(self, call: Call, requests: int) -> Entry:
        """Of a call that begins now and counts as so many requests."""
        day = math.floor(self._clock() / DAY)
        return Entry(call, day, (day + 1 + self._retention) * DAY, teams_of(call.principal), requests)
