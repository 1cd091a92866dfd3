"""An account as an item of DynamoDB: `pk` = [namespace#]acct:{client}[:shard], `expires` (its TTL), `v`, and these attributes.

{period}{window}{dimension}  counts of a window, as `d20838t`: a new window needs no reset, and its first call no other write
m:{process}{lane}            the number of the last write of a lane (see `marks`)
r:{process}{lane}            what its call holds: milliseconds:requests:tokens:nanos
"""

from collections.abc import Iterable, Mapping
import re
from typing import Any, Final

from core.config.security import Period
from core.stores.counters.marks import HOLDS
from core.stores.counters.port import AccountKey, Counter, Counts, Held

VERSION: Final = 2  # that of the items of counters before, which say none, is 1
PREFIX: Final = "acct:"
LETTERS: Final[Mapping[Period, str]] = {"minute": "n", "hour": "h", "day": "d", "month": "o"}
EXPIRES: Final = "expires"
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
        Counts(*(_number(item, attribute_of(counter, dimension)) for dimension in DIMENSIONS)) for counter in counters
    )


def item_of(counter: Counter, counts: Counts) -> Item:
    """One that has these counts and nothing else."""
    numbers = zip(DIMENSIONS, counts.numbers, strict=True)
    return {attribute_of(counter, dimension): {"N": str(number)} for dimension, number in numbers}


def older_counts_of(item: Item) -> Counts:
    """Of a counter as there was one for each window before."""
    return Counts(_number(item, "requests"), _number(item, "tokens"))


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


def _number(item: Item, name: str) -> int:
    return int(item[name]["N"]) if name in item else 0
