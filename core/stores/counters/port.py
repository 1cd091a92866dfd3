"""The port of counters, which quotas are counted with: of each client an account, or as many as its limits are spread over.

An account counts in windows of time, several at once, and has what calls under way hold of it until they are settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Final, Protocol

from core.config.security import Period
from core.frame.callers import UsageRow

GRACE: Final = 3600  # seconds that the counts of a window outlive it at least, for calls under way


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls, tokens (reserved and used), and money in billionths of the currency."""

    requests: int = 0
    tokens: int = 0
    nanos: int = 0

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.requests, self.tokens, self.nanos

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.requests + other.requests, self.tokens + other.tokens, self.nanos + other.nanos)

    def __neg__(self) -> "Counts":
        return Counts(-self.requests, -self.tokens, -self.nanos)


@dataclass(frozen=True, slots=True)
class Limit:
    """More is taken only while the counts are below these; None does not bound."""

    requests: int | None = None
    tokens: int | None = None
    nanos: int | None = None

    @property
    def bounds(self) -> tuple[int | None, int | None, int | None]:
        return self.requests, self.tokens, self.nanos

    @property
    def is_shut(self) -> bool:
        """Whether nothing is ever below it."""
        requests, tokens, nanos = self.requests, self.tokens, self.nanos
        return (
            (requests is not None and requests <= 0)
            or (tokens is not None and tokens <= 0)
            or (nanos is not None and nanos <= 0)
        )

    def has_room(self, counts: Counts) -> bool:
        return all(below is None or count < below for below, count in zip(self.bounds, counts.numbers, strict=True))


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`, in Unix seconds; `name` is unique among those of a period."""

    name: str
    start: int
    end: int

    def seconds_to_end(self, now: float) -> int:
        """To its end, rounded up: at least 1 within the window, and also after it."""
        return max(1, math.ceil(self.end - now))

    @property
    def expires(self) -> int:
        """When what was counted in it may vanish, in Unix seconds: a window late, as a clock may jump, and come back."""
        return self.end + (self.end - self.start) + GRACE


@dataclass(frozen=True, slots=True)
class Counter:
    """What an account counts in one window of time, where it takes more only `below` a limit."""

    period: Period
    window: Window
    below: Limit = Limit()


@dataclass(frozen=True, slots=True)
class AccountKey:
    """`client` is 1 to 1024 bytes of UTF-8, and never another's shard; `shard` is None where its limits are not spread."""

    client: str
    shard: int | None = None

    @property
    def name(self) -> str:
        """A client's shards end with their number."""
        return self.client if self.shard is None else f"{self.client}:{self.shard}"

    def counter_name(self, counter: Counter) -> str:
        """Of the one counter for each window that there was before there were accounts."""
        suffix = "" if self.shard is None else f":{self.shard}"
        return f"quota:{self.client}:{counter.period}:{counter.window.name}{suffix}"


def counters_of(client: str) -> str:
    """What the names of a client's counters begin with, and no others."""
    return f"quota:{client}:"


@dataclass(frozen=True, slots=True)
class Use:
    """What a call is counted as in the usage of its account, on one `day` (of UTC, since 1970-01-01).

    `teams` are those of its caller then, sorted, quoted and joined by `+`; `expires`, in Unix seconds, is when it may vanish.
    """

    day: int
    rows: tuple[UsageRow, ...]
    teams: str = ""
    expires: int = 0


@dataclass(frozen=True, slots=True)
class Take:
    """Count `amount` in all `counters`, or in none: where one of them is not below its bound.

    The first counter is the one that an older form of the store may have. What `holds` is settled later, by its reservation.
    `use` is counted as usage in the same write, and alone where there are no counters: nothing limits the call then.
    What has a name (`once`: of the client's own, 1 to 200 characters of ASCII without colons, "" for none) is counted once, however
    many processes take it: where it was, it is admitted, and changes nothing. The name is known until all that it counts may vanish.
    """

    counters: tuple[Counter, ...]
    amount: Counts
    holds: bool = False
    use: Use | None = None
    once: str = ""

    @property
    def is_shut(self) -> bool:
        """Whether a bound is so low that not even the first is taken."""
        return any(counter.below.is_shut for counter in self.counters)

    @property
    def expires(self) -> int:
        """When all that it counts may vanish, in Unix seconds."""
        expires = 0 if self.use is None else self.use.expires
        for counter in self.counters:
            expires = max(expires, counter.window.expires)
        return expires


@dataclass(frozen=True, slots=True)
class Scope:
    """What a call takes beside its own account, of one that many callers share, as a team's. It holds nothing itself, and has no usage.

    No two of a call are of the same account, nor is one the call's own: a transaction of DynamoDB has each item once.
    """

    account: AccountKey
    take: Take


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a take holds in the `counters` of an account, and of those in `scopes`; `name` and `number` are the store's own."""

    account: AccountKey
    counters: tuple[Counter, ...]
    name: str
    number: int = 0
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """`counts`, for each counter, are those after it was admitted, or as they stand if it was not: then nothing changed.

    Of the first counter requests and tokens are known, else what the take counts or bounds: the rest may be 0. Of a take with
    scopes, or with a name, all may be 0 where it was admitted. `scopes` are the counts of these, for each counter, where it was refused.
    """

    admitted: bool
    counts: tuple[Counts, ...]
    reservation: Reservation | None = None
    scopes: tuple[tuple[Counts, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation that nobody has settled: of a call that is under way `since`, in Unix seconds, or that died."""

    since: float
    amount: Counts


@dataclass(frozen=True, slots=True)
class AccountState:
    """`counts` are those of the counters that were asked for."""

    counts: tuple[Counts, ...]
    unsettled: tuple[Held, ...] = ()


class CounterStore(Protocol):
    """Accounts, shared by every process that names the same table or file.

    Every method raises QuotaUnavailable when the store cannot be reached, or not in `patience` seconds.
    """

    async def take(self, account: AccountKey, take: Take, scopes: Sequence[Scope] = ()) -> Admission:
        """Count, in one atomic conditional write, or one transaction with that of each scope: in all of them, or in none.

        Accounts are made where there are none. However often it has to be sent, it counts once. What a counter of an older
        form has for the first window is taken over.
        """
        ...

    async def settle(
        self, reservation: Reservation, correction: Counts, use: Use | None = None, scopes: Sequence[Counts] = ()
    ) -> None:
        """Add the correction, which may be negative, to what was taken, and `use` to the usage, and end the reservation: all once, or nothing.

        `scopes` are the corrections of those of the reservation, in their order. One that was settled, or whose account is not
        there any more, is left alone. Where the store fails it stays, counted.
        """
        ...

    async def read(self, account: AccountKey, counters: tuple[Counter, ...] = ()) -> AccountState:
        """As of now; zeros where there is no account."""
        ...

    async def erase(self, client: str, *, dry: bool = False) -> int:
        """Remove the accounts of a client, unless it is `dry`; how many. The whole store may be read for it."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
