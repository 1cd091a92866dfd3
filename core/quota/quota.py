"""Limits of calls and tokens: a call is counted, and its tokens reserved, in one conditional write."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
import logging
import random
import time
from typing import Final

from core.config.security import QuotaConfig
from core.errors import QuotaExceeded, QuotaUnavailable
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.quota.account import Account
from core.quota.draft import Draft
from core.quota.identity import identity
from core.quota.limits import Limits, limits_of
from core.quota.memory import Memory
from core.quota.windows import window
from core.stores.counters.port import CounterStore, Limit

MOST_TOKENS: Final = 1_000_000_000_000  # of one call: what a body asks for, or an upstream reports, has no bound itself
LOG_SECONDS: Final = 30.0  # between two lines about the same outage

log = logging.getLogger(__name__)


def counters_of(client: str) -> str:
    """What the keys of a client's counters begin with, and no others; `client` is as `identity` has it."""
    return f"quota:{client}:"


class Ticket:
    """`headers` are for the answer; there are none, and nothing to settle, where the counters could not be reached.

    `most` are the tokens that the client had for the call, None where nothing is to keep it from more.
    """

    def __init__(
        self, headers: Mapping[str, str], store: CounterStore | None = None, key: str = "", reserved: int = 0
    ) -> None:
        """Without `store` there is nothing to settle."""
        self.headers: dict[str, str] = dict(headers)
        self._store = store
        self._key = key
        self._reserved = reserved
        self.most: int | None = None

    async def settle(self, tokens: int | None, further: int = 0, least: int = 0) -> None:
        """Correct the reservation to the tokens used, and add the `further` ones.

        None leaves it as it is, or corrects it to `least`, where that is more.

        Only the first call counts. It never raises: where the store fails, the reservation stays.
        """
        store, self._store = self._store, None
        own = max(self._reserved, _bounded(least)) if tokens is None else _bounded(tokens)
        used = own + _bounded(further)
        if store is None or used == self._reserved:
            return
        try:
            await store.adjust(self._key, tokens=used - self._reserved)
        except QuotaUnavailable as failure:
            log.warning("quota: %d reserved tokens stay counted, %d were used: %s", self._reserved, used, failure)


class Quota:
    """The counters decide alone: any number of processes over one store admit exactly the limit."""

    def __init__(
        self,
        config: QuotaConfig,
        store: CounterStore,
        *,
        clock: Callable[[], float] = time.time,
        choose: Callable[[int], int] = random.randrange,
    ) -> None:
        """`clock` gives Unix seconds; `choose` a number below its argument, at random."""
        self._config = config
        self._store = store
        self._clock = clock
        self._choose = choose
        self._full = Memory()
        self._shadowed = Memory()
        self._logged = -LOG_SECONDS

    async def admit(self, call: Call, tokens: int | None, requests: int = 1) -> Ticket:
        """Count the call as so many requests, all or none, and reserve `tokens`; None is a call that makes none.

        A call without a bound, 0, reserves `default_max_tokens`, or the whole limit where that is less. Below 0 is a call
        without a bound that may make as many: it reserves at least these. What was counted before is 0 `requests`: tokens alone bound it.

        Raises:
            QuotaExceeded: the client has no call or not enough tokens left; nothing was counted.
            QuotaUnavailable: the counters cannot be reached, unless the config allows the call then.
        """
        account = self._account(call)
        reserved = self._reservation(account, tokens)
        take = self._shadow if self._config.shadow else self._take
        try:
            ticket = await take(account, reserved, requests)
        except QuotaUnavailable as failure:
            if self._config.on_store_failure == "deny":
                raise
            self._log_outage(failure)
            return Ticket({})
        call.ledger.most, call.ledger.resets_in = ticket.most, account.resets_in
        return ticket

    async def charge(self, call: Call, tokens: int) -> None:
        """Count tokens that were used by now, whatever the client has left; where the counters cannot be reached, nobody is charged."""
        account = self._account(call)
        if account.limits.tokens is None:
            return
        key = account.key(self._choose(account.shards))
        try:
            await self._store.take(key, tokens=_bounded(tokens), below=Limit(), expires=account.expires, requests=0)
        except QuotaUnavailable as failure:
            log.warning("quota: %d tokens of %s were used, and are not counted: %s", tokens, account.name, failure)

    async def remaining(self, call: Call) -> JsonObject:
        """What the client has left, as GET /v1/quota says it; raises QuotaUnavailable."""
        account = self._account(call)
        counts = await asyncio.gather(*(self._store.read(account.key(shard)) for shard in range(account.shards)))
        tokens = account.limits.tokens
        return {
            "object": "quota",
            "identity": "anonymous" if call.principal.anonymous else "authenticated",
            "period": self._config.period,
            "resets_at": account.window.end,
            "resets_in": account.resets_in,
            "shadow": self._config.shadow,
            "requests": _use(account.limits.requests, (count.requests for count in counts)),
            "tokens": None if tokens is None else _use(tokens, (count.tokens for count in counts)),
        }

    def warm(self) -> None:
        """Connect the counters early, so that the first call does not wait for it."""
        self._store.warm()

    async def close(self) -> None:
        await self._store.close()

    def _account(self, call: Call) -> Account:
        now, period = self._clock(), self._config.period
        current = window(period, now)
        limits = limits_of(self._config, call.principal)
        name = f"{counters_of(identity(call))}{period}:{current.name}"
        shards = max(1, min(self._config.shards, limits.requests))
        return Account(name, limits, current, current.seconds_to_end(now), shards)

    def _reservation(self, account: Account, tokens: int | None) -> int | None:
        """None where there is nothing to limit."""
        if tokens is None or account.limits.tokens is None:
            return None
        if tokens > 0:
            return min(tokens, MOST_TOKENS)
        return max(1, min(max(self._config.default_max_tokens, -tokens), account.limits.tokens))

    async def _take(self, account: Account, reserved: int | None, requests: int) -> Ticket:
        if account.limits.tokens is not None and (reserved or 0) > account.limits.tokens:
            raise self._refusal(account, final=True)
        if requests > account.limits.requests:
            shard = self._choose(account.shards)
            remaining = account.remaining(shard, await self._store.read(account.key(shard)))
            raise self._refusal(account, remaining, requests, final=True)
        draft = Draft(account, self._store, self._full, reserved, requests)
        for shard in self._order(account.shards):
            await draft.take(shard)
            if draft.is_whole:
                ticket = self._ticket(account, draft.keep(), draft.remaining, reserved)
                if reserved is not None and draft.remaining.tokens is not None:
                    ticket.most = draft.remaining.tokens + reserved
                return ticket
        await draft.give_back()
        raise self._refusal(account, draft.remaining, requests)

    async def _shadow(self, account: Account, reserved: int | None, requests: int) -> Ticket:
        shard = self._choose(account.shards)
        key, below = account.key(shard), Limit()
        admission = await self._store.take(
            key, tokens=reserved or 0, below=below, expires=account.expires, requests=requests
        )
        remaining = account.remaining(shard, admission.counts)
        if account.over(shard, admission.counts):
            remaining = Limits(0, remaining.tokens)
            self._log_shadow_refusal(account)
        return self._ticket(account, key, remaining, reserved)

    def _order(self, shards: int) -> Iterable[int]:
        first = self._choose(shards)
        return ((first + step) % shards for step in range(shards))

    def _ticket(self, account: Account, key: str, remaining: Limits, reserved: int | None) -> Ticket:
        store = None if account.limits.tokens is None else self._store
        return Ticket(account.headers(remaining), store, key, reserved or 0)

    def _refusal(
        self, account: Account, remaining: Limits | None = None, requests: int = 1, *, final: bool = False
    ) -> QuotaExceeded:
        """What remains is said of several requests alone: for one it is too little, whatever it is."""
        limits = remaining or Limits(0, None)
        available = limits.requests if requests > 1 else 0
        reason = (
            f": this is {requests} requests, and {available} of {account.limits.requests} are left"
            if requests > 1
            else ""
        )
        headers = account.headers(Limits(available, limits.tokens))
        refusal = QuotaExceeded(retry_after=account.resets_in, headers=headers, reason=reason)
        refusal.final = final
        return refusal

    def _log_shadow_refusal(self, account: Account) -> None:
        if not self._shadowed.seen(account.window.name, account.name):
            self._shadowed.remember(account.window.name, account.name, 1)
            log.warning("quota (shadow): %s would be refused", account.name)

    def _log_outage(self, failure: QuotaUnavailable) -> None:
        now = self._clock()
        if not 0 <= now - self._logged < LOG_SECONDS:  # the clock may have been set back
            self._logged = now
            log.warning("quota: calls are allowed without being counted: %s", failure)


def _bounded(tokens: int) -> int:
    return max(0, min(tokens, MOST_TOKENS))


def _use(limit: int, counts: Iterable[int]) -> JsonObject:
    total = sum(counts)
    return {"limit": limit, "used": total, "remaining": max(0, limit - total)}
