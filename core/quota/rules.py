"""The rows of limits beside the quota's common ones: of each caller, of keys, and of what many callers share."""

from collections.abc import Callable, Iterable, Sequence
import time
from typing import TYPE_CHECKING, Final

from core.frame.callers import Allowance, Call, Principal
from core.frame.types import JsonObject
from core.quota.account import Account
from core.quota.bindings import Binding, Refusal
from core.quota.order import FindModel, FindMoney, Order
from core.stores.counters.port import Counter, CounterStore, Counts

if TYPE_CHECKING:
    from core.config.limits import QuotaRow
    from core.quota.draft import Draft
    from core.quota.pools import Drawing, Pool, Pools

LEAST: Final = 1  # nano-USD, of a call whose cost nobody can tell before: who has nothing left gets none of it


class Rules:
    """`rows` are the run config's; a key's are its bearer's own."""

    def __init__(
        self,
        rows: Sequence["QuotaRow"],
        store: CounterStore,
        find_money: FindMoney | None = None,
        *,
        find_model: FindModel | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`find_money` is asked where a limit of money binds, `find_model` where one of models may. `clock` gives Unix seconds."""
        self._own = tuple(row.allowance for row in rows if row.per == "caller")
        self._find_money = find_money
        self._find_model = find_model
        self._clock = clock
        self.pools: Pools | None = None
        if shared := [row for row in rows if row.per != "caller"]:
            from core.quota import pools

            self.pools = pools.Pools(shared, store, clock=clock)

    def own_of(self, principal: Principal) -> tuple[Allowance, ...]:
        """Those of the caller alone."""
        grant = principal.grant
        return self._own if grant is None or not grant.limits else (*self._own, *grant.limits)

    async def find_pools(self, call: Call, name: str) -> tuple["Pool", ...]:
        """What a call takes from that asks the model with this name, "" for none; raises PermissionDenied for too many.

        A model that the caller may not see is none: what it asks would take from what others may use, and tell that it is there.
        """
        if self.pools is None:
            return ()
        names: tuple[str, str] | None = (name, name) if name else None
        if name and self._find_model is not None and self.pools.limits_models:
            names = await self._find_model(call, name)
        return self.pools.find(call, name, names)

    async def most_nanos(self, call: Call, order: Order | None, tokens: int, requests: int) -> int:
        """What a call may cost; raises PriceUnknown."""
        money = None if self._find_money is None else self._find_money(call)
        if money is None or order is None:
            return LEAST
        if (batch := order.batch) is not None:
            return await money.most_of_batch(order.model, batch.provider_id, batch.prompt, tokens, requests)
        return await money.most_nanos(order.model, order.body, tokens, max(1, requests))

    def prompt_tokens(self, call: Call, order: Order | None) -> int:
        """Which the prompt of a call has at most; 0 where nobody can tell."""
        is_asking = order is not None and self._find_money is not None and self._find_money(call) is not None
        return order.prompt_tokens() if is_asking and order is not None else 0

    async def used(
        self, account: Account, counts: tuple[Counts, ...], pools: Iterable["Pool"]
    ) -> list[tuple[Binding, int]]:
        """What is used of each limit that binds a call which was admitted, itself included; of those that are shared as of some seconds ago."""
        scale = account.shards
        amounts = amounts_of(account.bindings, account.counters, counts, scale)
        for pool in pools:
            if self.pools is not None:
                amounts += amounts_of(pool.bindings, pool.counters, await self.pools.look(pool))
        return amounts

    async def show(self, call: Call, account: Account, counts: tuple[Counts, ...]) -> list[JsonObject]:
        """Each limit that binds the caller, as GET /v1/quota says it; those of models bind calls. Raises QuotaUnavailable."""
        now, amounts = self._clock(), amounts_of(account.bindings, account.counters, counts)
        for pool in () if self.pools is None else self.pools.find(call):
            amounts += amounts_of(pool.bindings, pool.counters, await self.pools.read(pool) if self.pools else ())
        return [binding.show(used, now) for binding, used in amounts]


def amounts_of(
    bindings: Iterable[Binding], counters: tuple[Counter, ...], counts: tuple[Counts, ...], scale: int = 1
) -> list[tuple[Binding, int]]:
    """By the counts of the counters, each so many times."""
    there = {counter.period: count.numbers for counter, count in zip(counters, counts, strict=False)}
    return [(b, there[b.period][b.unit] * scale) for b in bindings if b.period in there]


def never_fitting(bindings: Iterable[Binding], wish: tuple[int, int | None, int | None]) -> Refusal | None:
    """A limit that is less than what a call wants, whatever is used; the one that ends last."""
    refusals = [Refusal(b, None, amount) for b in bindings if b.hard and (amount := wish[b.unit] or 0) > b.limit]
    return max(refusals, key=_end_of, default=None)


def last_of(refusals: Iterable[Refusal]) -> Refusal | None:
    """The one that ends last."""
    return max(refusals, key=_end_of, default=None)


def refusals_in(draft: "Draft", drawing: "Drawing | None") -> list[Refusal]:
    return [*draft.refusals, *(() if drawing is None else drawing.refusals)]


def limits_in(bindings: Iterable[Binding], unit: int) -> list[int]:
    """Those that refuse."""
    return [binding.limit for binding in bindings if binding.hard and binding.unit == unit]


def _end_of(refusal: Refusal) -> int:
    return refusal.binding.window.end
