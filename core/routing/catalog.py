"""What each provider says it has: asked in parallel, remembered for a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
import logging
import time
from typing import Final

from core.errors import ApiError, ProviderUnavailable
from core.frame.resources import Offer

ASK_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0  # a provider that did not answer is left alone for this long

log = logging.getLogger(__name__)
type Ask = Callable[[], Awaitable[Sequence[Offer]]]


@dataclass(slots=True)
class _Listing:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    offers: dict[str, Offer] = field(default_factory=dict[str, Offer])
    fresh_until: float = float("-inf")
    failure: ApiError | None = None
    asked: int = 0


class Catalog:
    """Listings by provider id; of callers that need one at the same time, one asks."""

    def __init__(
        self,
        asks: Mapping[str, Ask],
        *,
        seconds: float,
        patience: float = ASK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember each listing for `seconds`, wait `patience` seconds for one; nothing is asked before it is needed."""
        self._asks = dict(asks)
        self._seconds = seconds
        self._patience = patience
        self._clock = clock
        self._listings = {provider_id: _Listing() for provider_id in asks}

    async def offers(self, provider_id: str, *, fresh: bool = False) -> Mapping[str, Offer]:
        """What the provider has, by its own ids: nothing of one that lists nothing; `fresh` asks again whatever is remembered.

        Raises:
            ProviderUnavailable: it did not answer, or not in time.
        """
        listing = self._listings.get(provider_id)
        if listing is None:
            return {}
        if fresh or self._clock() >= listing.fresh_until:
            await self._refresh(provider_id, listing)
        if listing.failure is not None:
            raise listing.failure
        return listing.offers

    async def everything(self) -> dict[str, Mapping[str, Offer]]:
        """All listings; a provider that is down shows what it had last, or nothing."""
        stale = [(name, entry) for name, entry in self._listings.items() if self._clock() >= entry.fresh_until]
        await asyncio.gather(*(self._refresh(name, entry) for name, entry in stale))
        return {name: entry.offers for name, entry in self._listings.items()}

    async def _refresh(self, provider_id: str, listing: _Listing) -> None:
        seen = listing.asked
        async with listing.lock:
            if listing.asked != seen:
                return
            try:
                async with asyncio.timeout(self._patience):
                    offers = await self._asks[provider_id]()
            except (ApiError, TimeoutError) as failure:
                log.warning("provider %s did not list what it has: %s", provider_id, type(failure).__name__)
                listing.failure = ProviderUnavailable(
                    f"Provider `{provider_id}` could not be asked what it serves. Try again when it is up."
                )
                listing.fresh_until = self._clock() + min(RETRY_SECONDS, self._seconds)
            else:
                listing.offers = {offer["id"]: offer for offer in offers}
                listing.failure = None
                listing.fresh_until = self._clock() + self._seconds
            listing.asked += 1
