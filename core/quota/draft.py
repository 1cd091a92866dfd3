"""The requests of one call, taken from one account, or, where none has room for all, from several."""

import logging

from core.errors import QuotaUnavailable
from core.quota.account import Account
from core.quota.limits import Limits
from core.quota.memory import Memory
from core.stores.counters.port import AccountKey, Admission, CounterStore, Counts, Reservation

log = logging.getLogger(__name__)


class Draft:
    """What was taken so far; it is kept whole, or given back whole.

    While it waits, others may be refused for what it will give back, but nobody is admitted beyond the limit.
    """

    def __init__(
        self, account: Account, store: CounterStore, full: Memory, reserved: int | None, requests: int
    ) -> None:
        """`full` remembers which accounts have no room; the tokens are reserved with the first part."""
        self.missing = requests
        self._account = account
        self._store = store
        self._full = full
        self._reserved = reserved
        self._requests = requests
        self._parts: list[tuple[AccountKey, int]] = []
        self._last: Limits | None = None
        self._room = 0
        self.reservation: Reservation | None = None

    @property
    def is_whole(self) -> bool:
        return bool(self._parts) and self.missing == 0

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
        if self._requests and self._full.seen(self._account.window.name, key.name) >= most:
            return
        part = min(self.missing, most)
        admission = await self._ask(shard, key, part)
        room = most - admission.counts[0].requests
        if not admission.admitted and self._account.shards > 1 and 0 < room < part:
            part = room
            admission = await self._ask(shard, key, part)
            room = most - admission.counts[0].requests
        counts = admission.counts[0]
        self._last = self._account.remaining(shard, counts)
        if admission.admitted:
            self._parts.append((key, part))
            self.missing -= part
            self._room += part
        self._room += max(0, room)
        if room <= 0 and (part == self._requests or not admission.admitted):
            self._full.remember(self._account.window.name, key.name, counts.requests)

    def keep(self) -> AccountKey:
        """The account that has the reservation."""
        return self._parts[0][0]

    async def give_back(self) -> None:
        """Where the store fails, what was taken stays counted."""
        for position, (key, part) in enumerate(self._parts):
            amount = Counts(-part, 0 if position else -(self._reserved or 0))
            try:
                if position or self.reservation is None:
                    await self._store.take(key, self._account.take(amount))
                else:
                    await self._store.settle(self.reservation, amount)
            except QuotaUnavailable as failure:
                log.warning("quota: %d requests stay counted that were refused: %s", part, failure)

    async def _ask(self, shard: int, key: AccountKey, part: int) -> Admission:
        account, reserved = self._account, None if self._parts else self._reserved
        below = account.below(shard, reserved, part)
        take = account.take(Counts(part, reserved or 0), below, holds=reserved is not None)
        admission = await self._store.take(key, take)
        self.reservation = self.reservation or admission.reservation
        return admission
