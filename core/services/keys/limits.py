"""The limits of keys: as they are given, how much of them was used, and whether less may be set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
import logging
import time
from typing import Final

from pydantic import ValidationError

from core.apis.answers.keys import LimitOfKey
from core.apis.keys import KeyLimit
from core.apis.parsing import refusal_of
from core.config.limits import LimitRow, read_allowances
from core.config.records import Record
from core.config.security import Period
from core.errors import InvalidRequest, LimitBelowUse, QuotaUnavailable
from core.frame.callers import Allowance, Call, Principal
from core.frame.observed import usd_of, usd_text
from core.quota.identity import identity
from core.quota.windows import window
from core.services.keys.rules import ISSUER_OF_KEYS
from core.stores.counters.port import AccountKey, Counter, CounterStore, Counts
from core.stores.registry.kept_key import KeptKey

NOT_COUNTED: Final = (
    "Nothing would hold the key to its limits: the run config has no server.quota, which counts what callers use."
)

log = logging.getLogger(__name__)


class KeyRows(Record):
    """As a body has them, so that what is wrong has its place there."""

    limits: tuple[LimitRow, ...]


def allowances_of(limits: Sequence[KeyLimit]) -> list[Allowance]:
    """Raises InvalidRequest for a row that is wrong, or two that limit the same."""
    rows = [limit.model_dump(exclude_unset=True) for limit in limits]
    try:
        KeyRows.model_validate({"limits": rows})
        return list(read_allowances(rows))
    except ValidationError as invalid:
        raise refusal_of(invalid) from None
    except ValueError as fault:
        raise InvalidRequest(f"{fault}.", param="limits") from None


@dataclass(frozen=True, slots=True)
class KeySpending:
    """What keys have used in the windows of their limits. `store` is None where that is not known.

    `shards` is over how many accounts the counts of a key may be spread; 0 where nothing holds keys to limits, and None where
    that is not known. `clock` gives Unix seconds.
    """

    store: CounterStore | None
    shards: int | None
    clock: Callable[[], float] = time.time

    def require_counting(self, limits: Sequence[Allowance]) -> None:
        """Raise InvalidRequest for limits that nothing would hold the key to."""
        if limits and self.shards == 0:
            raise InvalidRequest(NOT_COUNTED, param="limits")

    async def show(self, entry: KeptKey) -> list[LimitOfKey]:
        """Without what was used, where the counters cannot be reached."""
        limits, now = entry.key.limits, self.clock()
        try:
            counts = await self._read(entry.id, limits, now)
        except QuotaUnavailable as failure:
            log.warning("keys: what key %s has used cannot be read: %s", entry.id, failure)
            counts = {}
        return [_view(limit, counts.get(limit.window), now) for limit in limits]

    async def require_room(self, entry: KeptKey, limits: Sequence[Allowance]) -> None:
        """Raise LimitBelowUse where the key has used more than a limit of these by now that it has not yet; and QuotaUnavailable."""
        now = self.clock()
        others = [limit for limit in limits if limit.hard and limit not in entry.key.limits]
        counts = await self._read(entry.id, others, now)
        for limit in others:
            count = counts.get(limit.window)
            for bound, amount, show in () if count is None else _units(limit, count):
                if bound is not None and amount > bound:
                    raise LimitBelowUse(
                        f"The key has used {show(amount)} of this {limit.window}, more than the new limit of {show(bound)}: "
                        f"it would be refused until {_moment(window(limit.window, now).end)}. `force` sets the limit all the same.",
                        param="limits",
                    )

    async def _read(self, key_id: str, limits: Sequence[Allowance], now: float) -> dict[Period, Counts]:
        """Of each window that has a limit."""
        if self.store is None or not limits:
            return {}
        periods: tuple[Period, ...] = tuple(dict.fromkeys(limit.window for limit in limits))
        counters = tuple(Counter(period, window(period, now)) for period in periods)
        client = identity(Call(Principal(key_id, {}, ISSUER_OF_KEYS)))
        shards = self.shards or 1
        accounts = [AccountKey(client), *(AccountKey(client, shard) for shard in range(shards if shards > 1 else 0))]
        total: dict[Period, Counts] = dict.fromkeys(periods, Counts())
        for account in accounts:
            state = await self.store.read(account, counters)
            total = {period: total[period] + counts for period, counts in zip(periods, state.counts, strict=True)}
        return total


def _units(limit: Allowance, used: Counts) -> list[tuple[int | None, int, Callable[[int], str]]]:
    """The bound, what was used, and how such a number is shown."""
    return [
        (limit.requests, used.requests, lambda count: f"{count} requests"),
        (limit.tokens, used.tokens, lambda count: f"{count} tokens"),
        (limit.nanos, used.nanos, lambda nanos: f"{usd_text(nanos)} USD"),
    ]


def _view(limit: Allowance, used: Counts | None, now: float) -> LimitOfKey:
    return {
        "window": limit.window,
        "requests": limit.requests,
        "tokens": limit.tokens,
        "money": None if limit.nanos is None else usd_of(limit.nanos),
        "currency": "USD",
        "soft": limit.soft,
        "hard": limit.hard,
        "used": None
        if used is None
        else {"requests": used.requests, "tokens": used.tokens, "money": usd_of(used.nanos)},
        "resets": window(limit.window, now).end,
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
