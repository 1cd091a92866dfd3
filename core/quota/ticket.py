"""What a call was admitted with, and how it is charged at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import logging
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from core.errors import QuotaUnavailable
from core.frame.callers import Charge
from core.frame.types import JsonObject
from core.quota.bindings import MONEY, MOST_WARNINGS, TOKENS, Binding, warnings_of
from core.quota.usage import Entry
from core.stores.counters.port import AccountKey, Counter, CounterStore, Counts, Reservation, Take

if TYPE_CHECKING:
    from core.quota.pools import Drawing, Pools

NOTHING: Final = Counts()
MOST_TOKENS: Final = 1_000_000_000_000  # of one call: what a body asks for, or an upstream reports, has no bound itself

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Charging:
    """Where a call is charged: by its reservation, or, where it has none, by what it used. Without an `entry` its usage is not counted.

    Without `counters` nothing limits it: what it used is counted as usage alone.
    """

    store: CounterStore
    key: AccountKey
    counters: tuple[Counter, ...]
    reservation: Reservation | None = None
    entry: Entry | None = None
    drawing: "Drawing | None" = None
    pools: "Pools | None" = None

    async def charge(self, spent: Counts, charge: Charge, reserved: Counts = NOTHING, once: str = "") -> None:
        """What was `spent`, of which so much was reserved; without a reservation `once`, under a name. Raises QuotaUnavailable."""
        use, drawing = None if self.entry is None else self.entry.end(charge), self.drawing
        correction = Counts(0, spent.tokens - reserved.tokens, spent.nanos - reserved.nanos)
        if self.reservation is not None:
            scopes = () if drawing is None else drawing.corrections(charge, spent)
            await self.store.settle(self.reservation, correction, use, scopes)
        elif use is not None or (self.counters and correction != NOTHING):
            shared = () if drawing is None else drawing.charges(charge, spent)
            await self.store.take(self.key, Take(self.counters, correction, use=use, once=once), shared)
        if self.pools is not None and charge.rows:
            models = () if drawing is None else [pool.model for pool in drawing.pools]
            others = [pool for pool in self.pools.find_models(charge) if pool.model not in models]
            await self.pools.charge(others, charge)


class Ticket:
    """`headers` are for the answer; there are none, and nothing to settle, where the counters could not be reached.

    `most` are the tokens that the client had for the call, `most_nanos` its money, None where nothing is to keep it from more;
    `resets_in` are the seconds until it has more. `warnings` are of soft limits.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        charging: Charging | None = None,
        reserved: Counts = NOTHING,
        least: int | None = None,
    ) -> None:
        """Without `charging` there is nothing to settle; `reserved` is what was counted of tokens and money by now.

        Of the tokens `least` stay reserved where it is not known how many were used; None is all.
        """
        self.headers: dict[str, str] = dict(headers)
        self.warnings: list[str] = []
        self._charging = charging
        self._reserved = reserved
        self._least = reserved.tokens if least is None else min(least, reserved.tokens)
        self.most: int | None = None
        self.most_nanos: int | None = None
        self.resets_in = 0

    def bound(self, amounts: Sequence[tuple[Binding, int]], reserved: Counts, now: float) -> None:
        """What is used of each limit, the call's own reservation included, bounds what the call may cause, and is warned of."""
        for unit, own in ((TOKENS, reserved.tokens), (MONEY, reserved.nanos)):
            rooms = [(b.limit - used + own, b.window) for b, used in amounts if b.hard and b.unit == unit]
            if not rooms:
                continue
            room, window = min(rooms, key=itemgetter(0))
            before = self.most if unit == TOKENS else None
            if before is None or room < before:
                self.resets_in = window.seconds_to_end(now)
                self.most, self.most_nanos = (room, self.most_nanos) if unit == TOKENS else (self.most, room)
        if said := warnings_of(sorted(amounts, key=lambda amount: -amount[0].window.end)):
            self.warnings = said
            self.headers["x-llambda-budget"] = ", ".join(said[:MOST_WARNINGS])

    def hand_over(self) -> JsonObject | None:
        """What the reservation is ended by later, perhaps by another process (see `Quota.release`); None where there is none. Nothing is left to settle."""
        charging, self._charging = self._charging, None
        if charging is None or charging.reservation is None:
            return None
        from core.quota.lasting import dump  # late: few calls outlive their process

        return dump(charging.reservation, self._reserved)

    async def settle(self, charge: Charge) -> None:
        """Correct the reservation to the tokens and the money used, add the `further` tokens, and count the usage.

        Tokens that are not known leave the reservation as it is, or correct it to `least`, where that is more.

        Only the first call counts. It never raises: where the store fails, the reservation stays.
        """
        charging, self._charging = self._charging, None
        if charging is None:
            return
        spent, reserved = spending(charge, self._least), self._reserved
        try:
            await charging.charge(spent, charge, reserved)
        except QuotaUnavailable as failure:
            log.warning(
                "quota: %d reserved tokens stay counted, %d were used: %s", reserved.tokens, spent.tokens, failure
            )


def spending(charge: Charge, reserved: int = 0) -> Counts:
    """The tokens and the money that a call is charged, which reserved so many tokens."""
    least = max(reserved, bounded(charge.least))
    own = least if charge.tokens is None else bounded(charge.tokens)
    return Counts(0, own + bounded(charge.further), sum(row.nanos for row in charge.rows))


def bounded(tokens: int) -> int:
    return max(0, min(tokens, MOST_TOKENS))
