"""A counter store of one process, and quotas over it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
import random
from typing import Any

from core.config.security import QuotaConfig
from core.errors import QuotaUnavailable
from core.frame.callers import ANONYMOUS, Call, Principal, UsageRow
from core.quota.quota import Quota
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    Counts,
    Held,
    Reservation,
    Scope,
    Take,
    Use,
    counters_of,
)
from tests.fakes import Clock

NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
EVENING = 43_200  # seconds from NOON to the end of its day

type UsageKey = tuple[int, str, str, str, str, str, str]


@dataclass
class MemoryCounters:
    """A CounterStore; `takes` are the accounts that were tried, `adjusts` those whose counts a settlement was to change.

    `rows` and `expiries` are of the windows that limit, by their name in the store, and `shared` those of scopes; `uses` are what
    was counted as usage, with the account, and `usage` its sums, by day, client, teams and the row's key; `names` are what was
    counted once. `down` makes every call fail.
    """

    rows: dict[str, Counts] = field(default_factory=dict[str, Counts])
    others: dict[str, Counts] = field(default_factory=dict[str, Counts])
    expiries: dict[str, int] = field(default_factory=dict[str, int])
    shared: dict[str, Counts] = field(default_factory=dict[str, Counts])
    usage: dict[UsageKey, UsageRow] = field(default_factory=dict["UsageKey", UsageRow])
    held: dict[str, tuple[str, Counts]] = field(default_factory=dict[str, tuple[str, Counts]])
    uses: list[tuple[str, Use]] = field(default_factory=list[tuple[str, Use]])
    takes: list[str] = field(default_factory=list[str])
    adjusts: list[str] = field(default_factory=list[str])
    names: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    down: bool = False
    warmed: bool = False
    closed: bool = False
    _reservations: int = 0

    async def take(self, account: AccountKey, take: Take, scopes: Sequence[Scope] = ()) -> Admission:
        self.takes.append(account.name)
        await self._reached()
        counts = self._counts(account, take.counters)
        if (account.client, take.once) in self.names:
            return Admission(admitted=True, counts=counts)
        others = tuple(map(self._shared_counts, scopes))
        if not all(map(_has_room, (take, *(scope.take for scope in scopes)), (counts, *others))):
            return Admission(admitted=False, counts=counts, scopes=others)
        self.names |= {(account.client, take.once)} if take.once else set()
        self._add(account, take.counters, take.amount)
        for scope in scopes:
            self._share(scope, scope.take.amount)
        self._note(account, take.use)
        for counter in take.counters[:1]:
            self.expiries[account.counter_name(counter)] = counter.window.expires
        reservation = None
        if take.holds:
            self._reservations += 1
            reservation = Reservation(account, take.counters, str(self._reservations), scopes=tuple(scopes))
            self.held[reservation.name] = (account.name, take.amount)
        return Admission(admitted=True, counts=self._counts(account, take.counters), reservation=reservation)

    async def settle(
        self, reservation: Reservation, correction: Counts, use: Use | None = None, scopes: Sequence[Counts] = ()
    ) -> None:
        if correction != Counts():
            self.adjusts.append(reservation.account.name)
        await self._reached()
        if self.held.pop(reservation.name, None) is not None:
            self._add(reservation.account, reservation.counters, correction)
            for scope, of_scope in zip(reservation.scopes, scopes, strict=False):
                self._share(scope, of_scope)
            self._note(reservation.account, use)

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

    def _shared_counts(self, scope: Scope) -> tuple[Counts, ...]:
        names = map(scope.account.counter_name, scope.take.counters)
        return tuple(self.shared.get(name, Counts()) for name in names)

    def _share(self, scope: Scope, amount: Counts) -> None:
        for counter, there in zip(scope.take.counters, self._shared_counts(scope), strict=True):
            self.shared[scope.account.counter_name(counter)] = there + amount

    def _note(self, account: AccountKey, use: Use | None) -> None:
        if use is None or not use.rows:
            return
        self.uses.append((account.name, use))
        for row in use.rows:
            key = (use.day, account.client, use.teams, *row.key)
            self.usage[key] = self.usage.get(key, UsageRow(*row.key)) + row

    async def _reached(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise QuotaUnavailable("The counters are away.")


def _has_room(take: Take, counts: tuple[Counts, ...]) -> bool:
    rooms = zip(take.counters, counts, strict=True)
    return not take.is_shut and all(counter.below.has_room(there) for counter, there in rooms)


def quota_config(**settings: Any) -> QuotaConfig:
    return QuotaConfig.model_validate({"kvstore": {"type": "sqlite", "db_path": "unused.db"}, **settings})


@dataclass
class Bench:
    """A quota, its counters and its clock, at noon."""

    quota: Quota
    counters: MemoryCounters
    clock: Clock


def bench(
    *, seed: int = 0, counters: MemoryCounters | None = None, retention_days: int | None = None, **settings: Any
) -> Bench:
    counters, clock = counters or MemoryCounters(), Clock()
    clock.now = NOON
    chance = random.Random(seed)  # noqa: S311 - a choice of shards, not a secret
    config = quota_config(**settings)
    quota = Quota(config, counters, retention_days=retention_days, clock=clock, choose=chance.randrange)
    return Bench(quota, counters, clock)


def user(name: str = "ada", *roles: str, vouched_by: str = "issuer") -> Call:
    return Call(Principal(name, {"roles": roles}, vouched_by))


def anonymous(source: str = "203.0.113.7") -> Call:
    return Call(ANONYMOUS, source)
