"""A counter store of one process, and quotas over it."""

import asyncio
from dataclasses import dataclass, field
import random
from typing import Any

from core.config.security import QuotaConfig
from core.errors import QuotaUnavailable
from core.frame.callers import ANONYMOUS, Call, Principal
from core.quota.quota import Quota
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    Counts,
    Held,
    Reservation,
    Take,
    counters_of,
)
from tests.fakes import Clock

NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
EVENING = 43_200  # seconds from NOON to the end of its day


@dataclass
class MemoryCounters:
    """A CounterStore; `takes` are the accounts that were tried, `adjusts` those whose counts a settlement was to change.

    `rows` and `expiries` are of the windows that limit, by their name in the store; `down` makes every call fail.
    """

    rows: dict[str, Counts] = field(default_factory=dict[str, Counts])
    others: dict[str, Counts] = field(default_factory=dict[str, Counts])
    expiries: dict[str, int] = field(default_factory=dict[str, int])
    held: dict[str, tuple[str, Counts]] = field(default_factory=dict[str, tuple[str, Counts]])
    takes: list[str] = field(default_factory=list[str])
    adjusts: list[str] = field(default_factory=list[str])
    down: bool = False
    warmed: bool = False
    closed: bool = False
    _reservations: int = 0

    async def take(self, account: AccountKey, take: Take) -> Admission:
        self.takes.append(account.name)
        await self._reached()
        counts = self._counts(account, take.counters)
        rooms = zip(take.counters, counts, strict=True)
        if take.is_shut or not all(counter.below.has_room(there) for counter, there in rooms):
            return Admission(admitted=False, counts=counts)
        self._add(account, take.counters, take.amount)
        self.expiries[account.counter_name(take.counters[0])] = take.counters[0].window.expires
        reservation = None
        if take.holds:
            self._reservations += 1
            reservation = Reservation(account, take.counters, str(self._reservations))
            self.held[reservation.name] = (account.name, take.amount)
        return Admission(admitted=True, counts=self._counts(account, take.counters), reservation=reservation)

    async def settle(self, reservation: Reservation, correction: Counts) -> None:
        if correction != Counts():
            self.adjusts.append(reservation.account.name)
        await self._reached()
        if self.held.pop(reservation.name, None) is not None:
            self._add(reservation.account, reservation.counters, correction)

    async def read(self, account: AccountKey, counters: tuple[Counter, ...] = ()) -> AccountState:
        await self._reached()
        held = tuple(Held(0, amount) for name, amount in self.held.values() if name == account.name)
        return AccountState(self._counts(account, counters), held)

    async def erase(self, client: str, *, dry: bool = False) -> int:
        await self._reached()
        keys = [key for key in self.rows if key.startswith(counters_of(client))]
        for key in () if dry else keys:
            del self.rows[key]
        return len(keys)

    def warm(self) -> None:
        self.warmed = True

    async def close(self) -> None:
        self.closed = True

    def total(self) -> Counts:
        return sum(self.rows.values(), Counts())

    def _counts(self, account: AccountKey, counters: tuple[Counter, ...]) -> tuple[Counts, ...]:
        names = map(account.counter_name, counters)
        return tuple((self.others if place else self.rows).get(name, Counts()) for place, name in enumerate(names))

    def _add(self, account: AccountKey, counters: tuple[Counter, ...], amount: Counts) -> None:
        for place, (counter, there) in enumerate(zip(counters, self._counts(account, counters), strict=True)):
            (self.others if place else self.rows)[account.counter_name(counter)] = there + amount

    async def _reached(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise QuotaUnavailable("The counters are away.")


def quota_config(**settings: Any) -> QuotaConfig:
    return QuotaConfig.model_validate({"kvstore": {"type": "sqlite", "db_path": "unused.db"}, **settings})


@dataclass
class Bench:
    """A quota, its counters and its clock, at noon."""

    quota: Quota
    counters: MemoryCounters
    clock: Clock


def bench(*, seed: int = 0, counters: MemoryCounters | None = None, **settings: Any) -> Bench:
    counters, clock = counters or MemoryCounters(), Clock()
    clock.now = NOON
    chance = random.Random(seed)  # noqa: S311 - a choice of shards, not a secret
    return Bench(Quota(quota_config(**settings), counters, clock=clock, choose=chance.randrange), counters, clock)


def user(name: str = "ada", *roles: str, vouched_by: str = "issuer") -> Call:
    return Call(Principal(name, {"roles": roles}, vouched_by))


def anonymous(source: str = "203.0.113.7") -> Call:
    return Call(ANONYMOUS, source)
