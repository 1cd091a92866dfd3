"""The requests of one call, taken from one account, or, where none has room for all, from several."""

from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING

from core.errors import QuotaUnavailable
from core.quota.account import Account
from core.quota.bindings import REQUESTS, Refusal, Wish
from core.quota.limits import Limits
from core.quota.memory import Memory
from core.stores.counters.port import AccountKey, Admission, Counter, CounterStore, Counts, Reservation, Take, Use

if TYPE_CHECKING:
    from core.quota.pools import Drawing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call wants: so many requests, and `reserved` tokens and `nanos`, None where it makes none or none are limited.

    The first part has tokens and money, and what others share, and `holds` them until they are settled. `use` is counted with a
    part that is the whole, else when it is whole. `completion` are those of the tokens that are not the prompt's.
    """

    requests: int
    reserved: int | None
    holds: bool
    use: Use | None
    nanos: int | None = None
    completion: int = 0

    @property
    def amount(self) -> Counts:
        return Counts(self.requests, self.reserved or 0, self.nanos or 0)

    @property
    def wish(self) -> Wish:
        """What the limits must have room for."""
        return self.requests, self.reserved, self.nanos


class Draft:
    """What was taken so far; it is kept whole, or given back whole.

    While it waits, others may be refused for what it will give back, but nobody is admitted beyond the limit.
    """

    def __init__(
        self, account: Account, store: CounterStore, full: Memory, demand: Demand, drawing: "Drawing | None" = None
    ) -> None:
        """`full` remembers which accounts have no room; `drawing` is what it takes from those that others share."""
        self.missing = demand.requests
        self._account = account
        self._store = store
        self._full = full
        self._demand = demand
        self._drawing = drawing
        self._parts: list[tuple[AccountKey, int]] = []
        self._last: Limits | None = None
        self._room = 0
        self.reservation: Reservation | None = None
        self.counts: tuple[Counts, ...] = ()
        self.refusals: list[Refusal] = []
        self.is_full = False

    @property
    def is_whole(self) -> bool:
        return bool(self._parts) and self.missing == 0

    @property
    def is_vain(self) -> bool:
        """Whether no other account of the caller's can help: what it shares with others has no room."""
        return self._drawing is not None and bool(self._drawing.refusals)

    @property
    def remaining(self) -> Limits:
        """After it was taken as the last account has it; of one that was not, what all accounts together have."""
        tokens = None if self._last is None else self._last.tokens
        if self.missing or self._last is None:
            return Limits(self._room, tokens)
        return self._last

    async def take(self, shard: int) -> None:
        """What is missing from this account, or what it has."""
        key, most = self._account.key(shard), self._account.share(shard).requests
        if self._is_known_full(shard, key, most):
            return
        part = min(self.missing, self._account.most_requests(shard))
        admission = await self._ask(shard, key, part)
        room = most - admission.counts[0].requests
        if not admission.admitted and self._account.shards > 1 and 0 < room < part:
            part = room
            admission = await self._ask(shard, key, part)
            room = most - admission.counts[0].requests
        counts = admission.counts[0]
        self._last = self._account.remaining(shard, counts)
        if admission.admitted:
            self.counts = self.counts or admission.counts
            self._parts.append((key, part))
            self.missing -= part
            self._room += part
        else:
            self._blame(shard, key, admission, part)
        self._room += max(0, room)
        if room <= 0 and (part == self._demand.requests or not admission.admitted):
            self._full.remember(self._account.window.name, key.name, counts.requests)

    async def keep(self) -> AccountKey:
        """The account that has the reservation; raises QuotaUnavailable."""
        key = self._parts[0][0]
        if len(self._parts) > 1 and self._demand.use is not None and not self._demand.holds:
            await self._store.take(key, Take((), Counts(), use=self._demand.use))
        return key

    async def give_back(self) -> None:
        """Where the store fails, what was taken stays counted."""
        amount = self._demand.amount
        shared = () if self._drawing is None else self._drawing.give_back()
        for position, (key, part) in enumerate(self._parts):
            taken = Counts(-part) if position else Counts(-part, -amount.tokens, -amount.nanos)
            try:
                if position or self.reservation is None:
                    await self._store.take(key, self._account.take(taken))
                else:
                    await self._store.settle(self.reservation, taken, scopes=shared)
            except QuotaUnavailable as failure:
                log.warning("quota: %d requests stay counted that were refused: %s", part, failure)

    async def _ask(self, shard: int, key: AccountKey, part: int) -> Admission:
        is_first, wish = not self._parts, self._wish(part)
        counters = self._account.bound(shard, wish)
        holds = self._demand.holds and is_first
        use = self._demand.use if holds or part == self._demand.requests else None
        take = self._account.take(Counts(part, wish[1] or 0, wish[2] or 0), counters, holds=holds, use=use)
        drawing = self._drawing if is_first else None
        if drawing is None:
            admission = await self._store.take(key, take)
        else:
            admission = await self._store.take(key, take, drawing.scopes)
            while not admission.admitted and _has_room(counters, admission) and drawing.move(admission.scopes):
                admission = await self._store.take(key, take, drawing.scopes)
        self.reservation = self.reservation or admission.reservation
        return admission

    def _wish(self, part: int) -> Wish:
        return (part, None, None) if self._parts else (part, self._demand.reserved, self._demand.nanos)

    def _blame(self, shard: int, key: AccountKey, admission: Admission, part: int) -> None:
        """Note what had no room, and remember what has none any more in this window."""
        wish = self._wish(part)
        self.is_full = self.is_full or not self._account.below(shard, wish[1], part).has_room(admission.counts[0])
        for refusal in self._account.refusals(shard, admission.counts, wish):
            self._add(refusal)
            if refusal.binding.unit == REQUESTS:
                self._full.remember(refusal.binding.window.name, key.name, refusal.used or 0)

    def _is_known_full(self, shard: int, key: AccountKey, most: int) -> bool:
        if not self._demand.requests:
            return False
        if self._full.seen(self._account.window.name, key.name) >= most:
            self.is_full = True
            return True
        wish, shards, is_known = self._wish(1), self._account.shards, False
        for binding in self._account.bindings:
            if binding.unit == REQUESTS and binding.hard:
                seen = self._full.seen(binding.window.name, key.name)
                if seen >= binding.share(shard, shards):
                    self._add(Refusal(binding, seen, wish[0]))
                    is_known = True
        return is_known

    def _add(self, refusal: Refusal) -> None:
        """Of several accounts of one caller, what is used in all of them."""
        for place, other in enumerate(self.refusals):
            if other.binding == refusal.binding:
                self.refusals[place] = Refusal(refusal.binding, (other.used or 0) + (refusal.used or 0), refusal.amount)
                return
        self.refusals.append(refusal)


def _has_room(counters: tuple[Counter, ...], admission: Admission) -> bool:
    """Whether the own account had, so that others refused."""
    return all(counter.below.has_room(counts) for counter, counts in zip(counters, admission.counts, strict=True))
