"""Limits that bind a call beside the quota's common ones: what they leave room for, which of them refuse, and what is said of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
import math
from typing import Final
from urllib.parse import quote

from core.config.security import Period
from core.errors import QuotaExceeded
from core.frame.callers import Allowance
from core.frame.observed import usd_of, usd_text
from core.frame.types import JsonObject
from core.quota.windows import window
from core.stores.counters.port import Counter, Counts, Limit, Window

CURRENCY: Final = "USD"
UNITS: Final = ("requests", "tokens", "money")
REQUESTS, TOKENS, MONEY = range(3)
LENGTHS: Final[Mapping[Period, str]] = {"minute": "a minute", "hour": "an hour", "day": "a day", "month": "a month"}
UNBOUNDED: Final = 2**62
"""A bound that nothing reaches: a store says what there is of that which is bounded."""
SOON: Final = 60  # seconds: a client may wait for it, and ask again itself
MOST_WARNINGS: Final = 4
PLAIN: Final = " /*@._-"  # of a name, as headers have it

type Wish = tuple[int, int | None, int | None]
"""How much a call wants, in the order of `UNITS`; None is what does not bind it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One unit of a limit, in the window that is now. `whose` is "" where it is of the caller alone, else as `team red`."""

    whose: str
    period: Period
    window: Window
    unit: int
    limit: int
    soft: float
    hard: bool

    def share(self, shard: int, shards: int) -> int:
        """Of the account with this number; those of all add up to the limit."""
        return self.limit // shards + (shard < self.limit % shards)

    def below(self, amount: int, shard: int = 0, shards: int = 1) -> int:
        """So much more is taken only below this. Of several shards each may pass its share by one reservation, but of requests none."""
        if not self.hard:
            return UNBOUNDED
        share = self.share(shard, shards)
        return share if shards > 1 and self.unit != REQUESTS else share - amount + 1

    def text(self, amount: int) -> str:
        """As people read it: `0.83 USD`, `60 requests`."""
        if self.unit == MONEY:
            return f"{usd_text(amount)} USD"
        return f"{amount} {UNITS[self.unit][: -1 if amount == 1 else None]}"

    def number(self, amount: int) -> str:
        return usd_text(amount) if self.unit == MONEY else str(amount)

    @property
    def resets(self) -> str:
        return datetime.fromtimestamp(self.window.end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def label(self) -> str:
        """Whose it is, in the characters of a header."""
        return quote(self.whose, safe=PLAIN, errors="replace")

    def show(self, used: int, now: float) -> JsonObject:
        """As GET /v1/quota says it; money in USD."""
        per, _, name = self.whose.partition(" ")
        is_money, left = self.unit == MONEY, max(0, self.limit - used)
        numbers = [usd_of(number) if is_money else number for number in (self.limit, used, left)]
        return {
            "per": per or "caller",
            "name": name or None,
            "window": self.period,
            "unit": UNITS[self.unit],
            **dict(zip(("limit", "used", "remaining"), numbers, strict=True)),
            "currency": CURRENCY if is_money else None,
            "soft": self.soft,
            "hard": self.hard,
            "resets_at": self.window.end,
            "resets_in": self.window.seconds_to_end(now),
        }

    def warning(self, used: int) -> str:
        """As `"team red month money 4.1 of 5 USD; resets=2027-02-01T00:00:00Z"`."""
        currency = " USD" if self.unit == MONEY else ""
        whose = f"{self.label} " if self.whose else ""
        amounts = f"{self.number(used)} of {self.number(self.limit)}{currency}"
        return f'"{whose}{self.period} {UNITS[self.unit]} {amounts}; resets={self.resets}"'


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that has no room for `amount`, where so much is used; None is not known: it has never room for it."""

    binding: Binding
    used: int | None
    amount: int

    def error(self, now: float, headers: Mapping[str, str]) -> QuotaExceeded:
        """What the caller reads. `headers` are the common ones."""
        binding, seconds = self.binding, self.binding.window.seconds_to_end(now)
        used = "" if self.used is None else f"used={binding.number(self.used)}; "
        said = {
            **headers,
            "ratelimit-remaining": "0",
            "ratelimit-reset": str(seconds),
            "x-llambda-limit": f"{binding.label or 'caller'}; {binding.period}; {UNITS[binding.unit]}; "
            f"limit={binding.number(binding.limit)}; {used}resets={binding.resets}",
            **({"x-should-retry": "false"} if seconds > SOON else {}),
        }
        error = QuotaExceeded(retry_after=seconds, headers=said, reason=f": {self._reason()}")
        error.final = self.amount > binding.limit
        return error

    def _reason(self) -> str:
        binding, whole = self.binding, self.binding.text(self.binding.limit)
        whose = f"the {whole} {LENGTHS[binding.period]} of {binding.whose}" if binding.whose else ""
        whose = whose or f"your {whole} {LENGTHS[binding.period]}"
        if self.amount > binding.limit:
            return f"this may take {binding.text(self.amount)}, more than {whose}"
        left = binding.limit - (self.used or 0)
        is_one = binding.limit == 1 and binding.unit != MONEY
        if left <= 0:
            return f"{whose} {'is' if is_one else 'are'} used up until {binding.resets}"
        rest = f"{binding.text(left)} {'is' if left == 1 and binding.unit != MONEY else 'are'} left"
        return f"of {whose} {rest} until {binding.resets}, and this may take {binding.text(self.amount)}"


def bindings_of(allowances: tuple[Allowance, ...], now: float, whose: str = "") -> tuple[Binding, ...]:
    """Those of `allowances` in the windows that `now`, in Unix seconds, is in."""
    return _bindings(allowances, math.floor(now / 60), whose) if allowances else ()


@lru_cache(maxsize=1024)
def _bindings(allowances: tuple[Allowance, ...], minute: int, whose: str) -> tuple[Binding, ...]:
    """No window ends within a minute."""
    return tuple(
        Binding(whose, row.window, window(row.window, minute * 60), unit, limit, row.soft, row.hard)
        for row in allowances
        for unit, limit in enumerate((row.requests, row.tokens, row.nanos))
        if limit is not None
    )


def bind(
    counters: tuple[Counter, ...], bindings: Iterable[Binding], wish: Wish, shard: int = 0, shards: int = 1
) -> tuple[Counter, ...]:
    """The counters with the bounds of so much more, beside those that they have."""
    bounds: dict[Period, list[int | None]] = {}
    for binding in bindings:
        amount = wish[binding.unit] or 0
        if amount or not binding.hard:
            least = bounds.setdefault(binding.period, [None, None, None])
            below, earlier = binding.below(amount, shard, shards), least[binding.unit]
            least[binding.unit] = below if earlier is None else min(below, earlier)
    return tuple(
        Counter(counter.period, counter.window, _lower(counter.below, bound))
        if (bound := bounds.get(counter.period))
        else counter
        for counter in counters
    )


def _lower(limit: Limit, bounds: list[int | None]) -> Limit:
    pairs = zip(limit.bounds, bounds, strict=True)
    return Limit(*[own if other is None else other if own is None else min(own, other) for own, other in pairs])


def refusals_of(
    counters: tuple[Counter, ...],
    counts: tuple[Counts, ...],
    bindings: Iterable[Binding],
    wish: Wish,
    shard: int = 0,
    shards: int = 1,
) -> list[Refusal]:
    """Which had no room, where `counts` were those of the counters."""
    there = {counter.period: count.numbers for counter, count in zip(counters, counts, strict=True)}
    return [
        Refusal(binding, there[binding.period][binding.unit], amount)
        for binding in bindings
        if (amount := wish[binding.unit])
        and there[binding.period][binding.unit] >= binding.below(amount, shard, shards)
    ]


def warnings_of(amounts: Iterable[tuple[Binding, int]]) -> list[str]:
    """Of what is used, what has reached its soft limit."""
    return [binding.warning(used) for binding, used in amounts if used >= binding.soft * binding.limit]
