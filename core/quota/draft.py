"""The requests of one call, taken from one counter, or, where none has room for all, from several."""

import logging

from core.errors import QuotaUnavailable
from core.quota.account import Account
from core.quota.limits import Limits
from core.quota.memory import Memory
from core.stores.counters.port import Admission, CounterStore

log = logging.getLogger(__name__)


class Draft:
    """What was taken so far; it is kept whole, or given back whole.

    While it waits, others may be refused for what it will give back, but nobody is admitted beyond the limit.
    """

    def __init__(
        self, account: Account, store: CounterStore, full: Memory, reserved: int | None, requests: int
    ) -> None:
        """`full` remembers which counters have no room; the tokens are reserved with the first part."""
        self.missing = requests
        self._account = account
        self._store = store
        self._full = full
        self._reserved = reserved
        self._requests = requests
        self._parts: list[tuple[str, int]] = []
        self._last: Limits | None = None
        self._room = 0

    @property
    def is_whole(self) -> bool:
        return bool(self._parts) and self.missing == 0

    @property
    def remaining(self) -> Limits:
        """After it was taken as the last counter has it; of one that was not, what all counters together have."""
        tokens = None if self._last is None else self._last.tokens
        if self.missing or self._last is None:
            return Limits(self._room, tokens)
        return self._last

    async def take(self, shard: int) -> None:
        """What is missing from this counter, or what it has."""
        key, most = self._account.key(shard), self._account.share(shard).requests
        if self._requests and self._full.seen(self._account.window.name, key) >= most:
            return
        part = min(self.missing, most)
        admission = await self._ask(shard, key, part)
        room = most - admission.counts.requests
        if not admission.admitted and self._account.shards > 1 and 0 < room < part:
            part = room
            admission = await self._ask(shard, key, part)
            room = most - admission.counts.requests
        self._last = self._account.remaining(shard, admission.counts)
        if admission.admitted:
            self._parts.append((key, part))
            self.missing -= part
            self._room += part
        self._room += max(0, room)
        if room <= 0 and (part == self._requests or not admission.admitted):
            self._full.remember(self._account.window.name, key, admission.counts.requests)

    def keep(self) -> str:
        """The key of the counter that has the reservation."""
        return self._parts[0][0]

    async def give_back(self) -> None:
        """Where the store fails, what was taken stays counted."""
        tokens = self._reserved or 0
        for key, part in self._parts:
            try:
                await self._store.adjust(key, tokens=-tokens, requests=-part)
            except QuotaUnavailable as failure:
                log.warning("quota: %d requests stay counted that were refused: %s", part, failure)
            tokens = 0

    async def _ask(self, shard: int, key: str, part: int) -> Admission:
        account, reserved = self._account, None if self._parts else self._reserved
        below = account.below(shard, reserved, part)
        return await self._store.take(key, tokens=reserved or 0, below=below, expires=account.expires, requests=part)
