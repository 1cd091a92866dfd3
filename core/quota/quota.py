"""Limits of calls and tokens: a call is counted, and its tokens reserved, in one conditional write."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
import logging
import random
import time
from typing import TYPE_CHECKING, Final

from core.config.security import QuotaConfig
from core.errors import QuotaExceeded, QuotaUnavailable
from core.frame.callers import Call, Charge, UsageRow
from core.frame.types import JsonObject
from core.quota.account import Account
from core.quota.bindings import MONEY, TOKENS, bindings_of
from core.quota.draft import Demand, Draft
from core.quota.identity import identity
from core.quota.limits import Limits, limits_of
from core.quota.memory import Memory
from core.quota.order import Order
from core.quota.rules import Rules, last_of, limits_in, never_fitting, refusals_in
from core.quota.ticket import MOST_TOKENS, Charging, Ticket, spending
from core.quota.usage import Diary, Entry
from core.quota.windows import counters
from core.stores.counters.port import AccountKey, CounterStore, Counts, Reservation

if TYPE_CHECKING:
    from core.quota.pools import Drawing, Pool

LOG_SECONDS: Final = 30.0  # between two lines about the same outage

log = logging.getLogger(__name__)


class Quota:
    """The counters decide alone: any number of processes over one store admit exactly the limit."""

    def __init__(
        self,
        config: QuotaConfig,
        store: CounterStore,
        *,
        rules: Rules | None = None,
        retention_days: int | None = None,
        clock: Callable[[], float] = time.time,
        choose: Callable[[int], int] = random.randrange,
    ) -> None:
        """Usage is kept for `retention_days`, and not counted where that is None. `clock` gives Unix seconds; `choose` a number below its argument, at random.

        `rules` are the limits that bind beside those of `config`; None is a key's alone.
        """
        self._config = config
        self._store = store
        self._clock = clock
        self._choose = choose
        self._rules = rules or Rules((), store, clock=clock)
        self._diary = None if retention_days is None else Diary(retention_days, clock)
        self._full = Memory()
        self._shadowed = Memory()
        self._logged = -LOG_SECONDS

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Order | None = None) -> Ticket:
        """Count the call as so many requests, all or none, and reserve `tokens`; None is a call that makes none.

        A call without a bound, 0, reserves `default_max_tokens`, or the whole limit where that is less. Below 0 is a call
        without a bound that may make as many: it reserves at least these. What was counted before is 0 `requests`: tokens alone bound it.
        `order` is what it asks a model for, where the caller knows: limits of models, of money and of the prompt's tokens go by it.

        Raises:
            QuotaExceeded: the client, or who it shares a limit with, has no call, not enough tokens or money left; nothing was counted.
            PriceUnknown: money is limited, and nobody knows what the call costs.
            PermissionDenied: it would be charged to too many teams and roles.
            QuotaUnavailable: the counters cannot be reached, unless the config allows the call then.
        """
        account = self._account(call)
        pools = () if tokens is None else await self._rules.find_pools(call, "" if order is None else order.model)
        entry = None if self._diary is None else self._diary.begin(call, requests)
        demand = await self._demand(call, account, pools, tokens, requests, order, entry)
        take = self._shadow if self._config.shadow else self._take
        try:
            ticket = await take(account, demand, entry, self._draw(pools, demand))
        except QuotaUnavailable as failure:
            if self._config.on_store_failure == "deny":
                raise
            self._log_outage(failure)
            return Ticket({})
        except QuotaExceeded as refusal:
            call.observed.budget_refusals += "x-llambda-limit" in refusal.headers
            raise
        ledger = call.ledger
        ledger.most, ledger.most_nanos, ledger.resets_in = ticket.most, ticket.most_nanos, ticket.resets_in
        call.observed.budget_warnings += len(ticket.warnings)
        return ticket

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        """Count what was used elsewhere by now, whatever the client has left; with a name, `once` for all processes.

        The rows are of one model. Raises QuotaUnavailable: whether it is counted is not known, and the same name asks again.
        """
        account = self._account(call)
        entry = None if self._diary is None else self._diary.begin(call, 0)
        charge = Charge(sum(row.tokens for row in rows), rows=tuple(rows))
        key = account.key(self._choose(account.shards))
        pools = await self._rules.find_pools(call, rows[0].model if rows else "")
        drawing = self._draw(pools, Demand(0, None, holds=False, use=None))
        charging = self._charging(account, key, None, entry, drawing)
        if charging is not None:
            await charging.charge(spending(charge), charge, once=once)

    async def release(self, handle: JsonObject) -> None:
        """End a reservation that was handed over: its tokens and money are free again, its requests stay counted. Once, whoever asks.

        Raises QuotaUnavailable.
        """
        from core.quota.lasting import load  # late, as in `Ticket.hand_over`

        reservation, reserved = load(handle)
        shared = [Counts(0, -scope.take.amount.tokens, -scope.take.amount.nanos) for scope in reservation.scopes]
        await self._store.settle(reservation, -reserved, scopes=shared)

    async def remaining(self, call: Call) -> JsonObject:
        """What the client has left, as GET /v1/quota says it; raises QuotaUnavailable."""
        account = self._account(call)
        counters = account.counters if account.bindings else account.counters[:1]
        keys = map(account.key, range(account.shards))
        states = await asyncio.gather(*(self._store.read(key, counters) for key in keys))
        counts = tuple(sum(of_shards, Counts()) for of_shards in zip(*(s.counts for s in states), strict=True))
        tokens = account.limits.tokens
        return {
            "object": "quota",
            "identity": "anonymous" if call.principal.anonymous else "authenticated",
            "period": self._config.period,
            "resets_at": account.window.end,
            "resets_in": account.resets_in,
            "shadow": self._config.shadow,
            "requests": _use(account.limits.requests, counts[0].requests),
            "tokens": None if tokens is None else _use(tokens, counts[0].tokens),
            "limits": await self._rules.show(call, account, counts),
        }

    def warm(self) -> None:
        """Connect the counters early, so that the first call does not wait for it."""
        self._store.warm()

    async def close(self) -> None:
        await self._store.close()

    def _account(self, call: Call) -> Account:
        now, period = self._clock(), self._config.period
        allowances = self._rules.own_of(call.principal)
        current = counters(period, now, tuple(dict.fromkeys(row.window for row in allowances)))
        limits = limits_of(self._config, call.principal)
        shards = max(1, min(self._config.shards, limits.requests))
        resets_in = current[0].window.seconds_to_end(now)
        return Account(identity(call), limits, current, resets_in, shards, bindings_of(allowances, now))

    async def _demand(  # noqa: PLR0913, PLR0917 - all that there is of a call
        self,
        call: Call,
        account: Account,
        pools: "tuple[Pool, ...]",
        tokens: int | None,
        requests: int,
        order: Order | None,
        entry: Entry | None,
    ) -> Demand:
        """Of tokens, and of money where it is limited, what the call may use at most."""
        reserved = nanos = None
        completion = 0
        bindings = [*account.bindings, *(binding for pool in pools for binding in pool.bindings)]
        if tokens is not None:
            limits, has_money = limits_in(bindings, TOKENS), bool(limits_in(bindings, MONEY))
            prompt = self._rules.prompt_tokens(call, order) if limits else 0
            is_batch = order is not None and order.batch is not None
            # A batch may take longer than any window: the common quota, which is for the pace, has its tokens when they are known.
            common = None if is_batch else account.limits.tokens
            most = self._most(tokens, order)
            room = [*limits, *(() if common is None else (common,))]
            completion = most if tokens > 0 else max(1, min([most, *(limit - prompt for limit in room)]))
            reserved = completion + prompt if limits or common is not None else None
            priced = most if is_batch else completion
            nanos = await self._rules.most_nanos(call, order, priced, requests) if has_money else None
        holds = reserved is not None or nanos is not None or bool(pools) or (entry is not None and tokens is not None)
        use = None if entry is None else entry.begin(holds=holds)
        return Demand(requests, reserved, holds, use, nanos, completion)

    def _most(self, tokens: int, order: Order | None) -> int:
        """How many tokens beside the prompt's a call may use at most, as far as it says so."""
        default = self._config.default_max_tokens
        if order is not None and order.batch is not None:
            return min(default * order.batch.unbound + abs(tokens), MOST_TOKENS)
        return min(tokens if tokens > 0 else max(default, -tokens), MOST_TOKENS)

    def _draw(self, pools: "tuple[Pool, ...]", demand: Demand) -> "Drawing | None":
        if not pools:
            return None
        from core.quota.pools import Drawing

        return Drawing(pools, demand.wish, demand.amount, self._choose)

    async def _take(self, account: Account, demand: Demand, entry: Entry | None, drawing: "Drawing | None") -> Ticket:
        await self._refuse_unfit(account, demand, drawing)
        draft = Draft(account, self._store, self._full, demand, drawing)
        for shard in self._order(account.shards):
            await draft.take(shard)
            if draft.is_whole:
                charging = self._charging(account, await draft.keep(), draft.reservation, entry, drawing)
                return await self._admitted(account, demand, draft, charging, drawing)
            if draft.is_vain:
                break
        await draft.give_back()
        raise self._refusal(account, draft, demand.requests, drawing)

    async def _refuse_unfit(self, account: Account, demand: Demand, drawing: "Drawing | None") -> None:
        """Raises QuotaExceeded for what no window has room for, however little is used."""
        if account.limits.tokens is not None and (demand.reserved or 0) > account.limits.tokens:
            raise self._common_refusal(account, final=True)
        if demand.requests > account.limits.requests:
            shard = self._choose(account.shards)
            state = await self._store.read(account.key(shard), account.counters[:1])
            remaining = account.remaining(shard, state.counts[0])
            raise self._common_refusal(account, remaining, demand.requests, final=True)
        shared = () if drawing is None else drawing.bindings
        unfit = never_fitting((*account.bindings, *shared), demand.wish) if account.bindings or shared else None
        if unfit is not None:
            raise unfit.error(self._clock(), account.headers(Limits(0, None)))

    async def _admitted(
        self, account: Account, demand: Demand, draft: Draft, charging: Charging | None, drawing: "Drawing | None"
    ) -> Ticket:
        """What the answer says, and what the call may use in all that it causes."""
        remaining = draft.remaining
        ticket = Ticket(account.headers(remaining), charging, demand.amount, demand.completion or None)
        ticket.resets_in = account.resets_in
        if demand.reserved is not None and remaining.tokens is not None:
            ticket.most = remaining.tokens + demand.reserved
        if account.bindings or drawing is not None:
            amounts = await self._rules.used(account, draft.counts, () if drawing is None else drawing.pools)
            ticket.bound(amounts, demand.amount, self._clock())
        return ticket

    async def _shadow(self, account: Account, demand: Demand, entry: Entry | None, drawing: "Drawing | None") -> Ticket:
        shard = self._choose(account.shards)
        key = account.key(shard)
        take = account.take(demand.amount, holds=demand.holds, use=demand.use)
        admission = await self._store.take(key, take, () if drawing is None else drawing.unbound)
        remaining = account.remaining(shard, admission.counts[0])
        if account.over(shard, admission.counts[0]):
            remaining = Limits(0, remaining.tokens)
            self._log_shadow_refusal(account)
        charging = self._charging(account, key, admission.reservation, entry, drawing)
        ticket = Ticket(account.headers(remaining), charging, demand.amount, demand.completion or None)
        ticket.resets_in = account.resets_in
        return ticket

    def _charging(
        self,
        account: Account,
        key: AccountKey,
        reservation: Reservation | None,
        entry: Entry | None,
        drawing: "Drawing | None",
    ) -> Charging | None:
        """Where neither tokens nor money are limited nor usage is counted, there is nothing to settle."""
        if account.limits.tokens is None and entry is None and not account.bindings and drawing is None:
            return None
        return Charging(self._store, key, account.counters, reservation, entry, drawing, self._rules.pools)

    def _order(self, shards: int) -> Iterable[int]:
        first = self._choose(shards)
        return ((first + step) % shards for step in range(shards))

    def _refusal(self, account: Account, draft: Draft, requests: int, drawing: "Drawing | None") -> QuotaExceeded:
        """By the limit that ends last of those that had no room."""
        last = last_of(refusals_in(draft, drawing))
        if last is None or (draft.is_full and last.binding.window.end < account.window.end):
            return self._common_refusal(account, draft.remaining, requests)
        return last.error(self._clock(), account.headers(Limits(0, None)))

    def _common_refusal(
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


def _use(limit: int, used: int) -> JsonObject:
    return {"limit": limit, "used": used, "remaining": max(0, limit - used)}
