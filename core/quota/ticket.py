"""What a call was admitted with, and how it is charged at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
import logging
from typing import Final

from core.errors import QuotaUnavailable
from core.quota.account import Account
from core.stores.counters.port import AccountKey, CounterStore, Counts, Reservation

MOST_TOKENS: Final = 1_000_000_000_000  # of one call: what a body asks for, or an upstream reports, has no bound itself

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Charging:
    """Where a call is charged: by its reservation, or, where it has none, by what it used."""

    store: CounterStore
    account: Account
    key: AccountKey
    reservation: Reservation | None

    async def charge(self, tokens: int) -> None:
        """So many more than were reserved; raises QuotaUnavailable."""
        if self.reservation is not None:
            await self.store.settle(self.reservation, Counts(tokens=tokens))
        elif tokens:
            await self.store.take(self.key, self.account.take(Counts(tokens=tokens)))


class Ticket:
    """`headers` are for the answer; there are none, and nothing to settle, where the counters could not be reached.

    `most` are the tokens that the client had for the call, None where nothing is to keep it from more.
    """

    def __init__(self, headers: Mapping[str, str], charging: Charging | None = None, reserved: int = 0) -> None:
        """Without `charging` there is nothing to settle."""
        self.headers: dict[str, str] = dict(headers)
        self._charging = charging
        self._reserved = reserved
        self.most: int | None = None

    async def settle(self, tokens: int | None, further: int = 0, least: int = 0) -> None:
        """Correct the reservation to the tokens used, and add the `further` ones.

        None leaves it as it is, or corrects it to `least`, where that is more.

        Only the first call counts. It never raises: where the store fails, the reservation stays.
        """
        charging, self._charging = self._charging, None
        if charging is None:
            return
        own = max(self._reserved, bounded(least)) if tokens is None else bounded(tokens)
        spent = own + bounded(further)
        try:
            await charging.charge(spent - self._reserved)
        except QuotaUnavailable as failure:
            log.warning("quota: %d reserved tokens stay counted, %d were used: %s", self._reserved, spent, failure)


def bounded(tokens: int) -> int:
    return max(0, min(tokens, MOST_TOKENS))
