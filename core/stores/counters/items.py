"""An account as an item of DynamoDB: `pk` = [namespace#]acct:{client}[:shard], `expires` (its TTL), `v`, and these attributes.

{period}{window}{dimension}  counts of a window, as `d20838t`: a new window needs no reset, and its first call no other write
m:{process}{lane}            the number of the last write of a lane (see `marks`)
r:{process}{lane}            what its call holds: milliseconds:requests:tokens:nanos
u{hash}{letter}{day}         usage (see `rows`), until it is filed
fs, f0                       the numbers of its next part, and of its first (see `filing`), from when it was made, in Unix milliseconds
fk, ft                       the number of a part from which on all were filed lately, and when the last was, in Unix milliseconds
o                            when the item that lists it expires (see `directory`), in Unix seconds
"""

from collections.abc import Iterable, Mapping
import re
from typing import Any, Final

from core.config.security import Period
from core.stores.counters.marks import HOLDS
from core.stores.counters.port import AccountKey, Counter, Counts, Held, Take
from core.stores.counters.rows import ATTRIBUTE, TEXT

VERSION: Final = 2  # that of the items of counters before, which say none, is 1
PREFIX: Final = "acct:"
ONCE: Final = "once:"  # of an item that says that something was counted
LETTERS: Final[Mapping[Period, str]] = {"minute": "n", "hour": "h", "day": "d", "month": "o"}
EXPIRES: Final = "expires"
NEXT, FIRST, LATELY, FILED_AT = "fs", "f0", "fk", "ft"
LISTED: Final = "o"
BUCKET: Final = "bucket"
INDEX: Final = "by_day"
MOST_ROWS: Final = 24  # before some are filed: an item should stay below 4 KB
MOST_DEAD: Final = 16  # calls that died
DEAD_AFTER: Final = 86_400_000  # milliseconds: a day
BUCKETS: Final = 16  # of a day, and of the directory: a query each, and as many at once
DIMENSIONS: Final = "rtc"  # requests, tokens and cost, as `Counts.numbers` has them
LENGTHS: Final = {"n": 60, "h": 3600, "d": 86_400, "o": 31 * 86_400}  # seconds, at most
YEAR: Final = 365.2425 * 86_400
KEPT: Final = 2  # windows that have ended are kept as many lengths, as a clock may lag
KEPT_SECONDS: Final = 300  # at least
WINDOW: Final = re.compile(rf"([nhdo])(\d+)(?:-(\d\d))?[{DIMENSIONS}]")

type Item = Mapping[str, Any]


def key_of(prefix: str, account: AccountKey) -> dict[str, Any]:
    return {"pk": {"S": f"{prefix}{PREFIX}{account.name}"}}


def older_key_of(prefix: str, account: AccountKey, counter: Counter) -> dict[str, Any]:
    return {"pk": {"S": f"{prefix}{account.counter_name(counter)}"}}


def attribute_of(counter: Counter, dimension: str) -> str:
    """The name of the attribute that counts it."""
    return f"{LETTERS[counter.period]}{counter.window.name}{dimension}"


def counts_of(item: Item, counters: Iterable[Counter]) -> tuple[Counts, ...]:
    return tuple(
        Counts(*(number_in(item, attribute_of(counter, dimension)) for dimension in DIMENSIONS)) for counter in counters
    )


def item_of(counter: Counter, counts: Counts) -> Item:
    """One that has these counts and nothing else."""
    numbers = zip(DIMENSIONS, counts.numbers, strict=True)
    return {attribute_of(counter, dimension): {"N": str(number)} for dimension, number in numbers}


def item_with(take: Take, before: Counts) -> Item:
    """One that has what was taken, and nothing else but what the first window had `before`."""
    counts = (take.amount + before, *[take.amount] * (len(take.counters) - 1))
    pairs = zip(take.counters, counts, strict=False)
    return {name: value for pair in pairs for name, value in item_of(*pair).items()}


def has_room(take: Take, item: Item) -> bool:
    return all(
        counter.below.has_room(counts)
        for counter, counts in zip(take.counters, counts_of(item, take.counters), strict=True)
    )


def is_short(take: Take, item: Item) -> bool:
    """Whether the item would expire before what is taken."""
    return EXPIRES in item and number_in(item, EXPIRES) < take.expires


def dead_holds(item: Item, now: int) -> list[str]:
    """The names of what calls have held for a day at `now`, in Unix milliseconds: they died."""
    return [
        name
        for name, value in item.items()
        if name.startswith(HOLDS) and int(value["S"].partition(":")[0]) < now - DEAD_AFTER
    ]


def is_due(item: Item, now: int) -> bool:
    """Whether it has rows of days gone by, or too much, at `now` in Unix milliseconds: see `filing`."""
    days = [int(row[3], 36) for name in item if (row := ATTRIBUTE.fullmatch(name)) and row[2] == TEXT]
    return (
        len(days) > MOST_ROWS or any(day < now // DEAD_AFTER for day in days) or len(dead_holds(item, now)) > MOST_DEAD
    )


def older_counts_of(item: Item) -> Counts:
    """Of a counter as there was one for each window before."""
    return Counts(number_in(item, "requests"), number_in(item, "tokens"))


def hold_text(milliseconds: int, amount: Counts) -> str:
    return ":".join(map(str, (milliseconds, *amount.numbers)))


def held_of(item: Item) -> tuple[Held, ...]:
    """What is held, oldest first."""
    rows = sorted(
        [int(part) for part in value["S"].split(":")] for name, value in item.items() if name.startswith(HOLDS)
    )
    return tuple(Held(since / 1000, Counts(*numbers)) for since, *numbers in rows)


def ended_windows(item: Item, now: float) -> list[str]:
    """The names of the attributes of windows that ended so long ago, in Unix seconds, that no clock is in them."""
    matches = ((name, WINDOW.fullmatch(name)) for name in item)
    return [name for name, window in matches if window and _age(window, now) > 0]


def _age(window: re.Match[str], now: float) -> float:
    letter, number, month = window.groups()
    length = LENGTHS[letter]
    end = (int(number) + 1) * length if month is None else (int(number) - 1970) * YEAR + int(month) * length
    return now - end - max(KEPT * length, KEPT_SECONDS)


def number_in(item: Item, name: str) -> int:
    """0 where there is no such attribute."""
    return int(item[name]["N"]) if name in item else 0
