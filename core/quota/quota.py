"""Limits of calls and tokens: a call is counted, and its tokens reserved, in one conditional write."""

import asyncio
from collections.abc import Callable, Iterable
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
from core.quota.ticket import MOST_TOKENS, Charging, Ticket, bounded
from core.quota.windows import counters
from core.stores.counters.port import CounterStore, Counts

LOG_SECONDS: Final = 30.0  # between two lines about the same outage

log = logging.getLogger(__name__)


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
            await self._store.take(key, account.take(Counts(0, bounded(tokens))))
        except QuotaUnavailable as failure:
            log.warning("quota: %d tokens of %s were used, and are not counted: %s", tokens, account.name, failure)

    async def remaining(self, call: Call) -> JsonObject:
        """What the client has left, as GET /v1/quota says it; raises QuotaUnavailable."""
        account = self._account(call)
        keys, first = map(account.key, range(account.shards)), account.counters[:1]
        states = await asyncio.gather(*(self._store.read(key, first) for key in keys))
        counts = [state.counts[0] for state in states]
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
        current = counters(period, now)
        limits = limits_of(self._config, call.principal)
        shards = max(1, min(self._config.shards, limits.requests))
        return Account(identity(call), limits, current, current[0].window.seconds_to_end(now), shards)

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
            state = await self._store.read(account.key(shard), account.counters[:1])
            remaining = account.remaining(shard, state.counts[0])
            raise self._refusal(account, remaining, requests, final=True)
        draft = Draft(account, self._store, self._full, reserved, requests)
        for shard in self._order(account.shards):
            await draft.take(shard)
            if draft.is_whole:
                charging = Charging(self._store, account, draft.keep(), draft.reservation)
                ticket = _ticket(charging, draft.remaining, reserved)
                if reserved is not None and draft.remaining.tokens is not None:
                    ticket.most = draft.remaining.tokens + reserved
                return ticket
        await draft.give_back()
        raise self._refusal(account, draft.remaining, requests)

    async def _shadow(self, account: Account, reserved: int | None, requests: int) -> Ticket:
        shard = self._choose(account.shards)
        take = account.take(Counts(requests, reserved or 0), holds=reserved is not None)
        admission = await self._store.take(account.key(shard), take)
        remaining = account.remaining(shard, admission.counts[0])
        if account.over(shard, admission.counts[0]):
            remaining = Limits(0, remaining.tokens)
            self._log_shadow_refusal(account)
        return _ticket(Charging(self._store, account, account.key(shard), admission.reservation), remaining, reserved)

    def _order(self, shards: int) -> Iterable[int]:
        first = self._choose(shards)
        return ((first + step) % shards for step in range(shards))

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


def _ticket(charging: Charging, remaining: Limits, reserved: int | None) -> Ticket:
    """Where tokens are not limited, there is nothing to settle."""
    account = charging.account
    return Ticket(account.headers(remaining), None if account.limits.tokens is None else charging, reserved or 0)


def _use(limit: int, counts: Iterable[int]) -> JsonObject:
    total = sum(counts)
    return {"limit": limit, "used": total, "remaining": max(0, limit - total)}
