"""Counts the usage of a stack that no quota limits: in one write, when a call ends."""

from collections.abc import Callable, Sequence
import time
from typing import TYPE_CHECKING

from core.frame.callers import Call, Charge, UsageRow
from core.frame.types import JsonObject
from core.quota.identity import identity
from core.quota.order import Order
from core.quota.ticket import Charging, Ticket
from core.quota.usage import Diary
from core.stores.counters.port import AccountKey, Counts, Take

if TYPE_CHECKING:
    from core.stores.counters.port import CounterStore


class UsageRecorder:
    """Admits as `core.quota.quota.Quota` does, but everything: no call waits for it, or fails with it, before it ends."""

    def __init__(self, store: "CounterStore", *, retention_days: int, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds."""
        self._store = store
        self._diary = Diary(retention_days, clock)

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Order | None = None) -> Ticket:
        """Whatever the call may use is counted when its ticket is settled."""
        del tokens, order
        return Ticket(
            {}, Charging(self._store, AccountKey(identity(call)), (), entry=self._diary.begin(call, requests))
        )

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        """Count rows that were used elsewhere, with a name `once`; raises QuotaUnavailable, as `core.quota.quota.Quota` does."""
        if (use := self._diary.begin(call, 0).end(Charge(0, rows=tuple(rows)))) is not None:
            await self._store.take(AccountKey(identity(call)), Take((), Counts(), use=use, once=once))

    async def release(self, handle: JsonObject) -> None:
        """Nothing is held where nothing is limited."""
