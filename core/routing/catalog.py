"""What each provider says it has: asked in parallel, remembered for a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
import logging
import time
from typing import Final

from core.errors import ApiError, ProviderUnavailable, SecretUnavailable
from core.frame.callers import upstream_wait
from core.frame.resources import Offer
from core.platform.ttl_cache import TtlCache

ASK_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0  # a provider that did not answer is left alone for this long

log = logging.getLogger(__name__)
type Ask = Callable[[], Awaitable[Sequence[Offer]]]
type Listing = Mapping[str, Offer]
"""By the provider's own ids."""


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
        self._patience = patience
        self._listings: TtlCache[str, Listing] = TtlCache(seconds, clock=clock)
        self._failures: TtlCache[str, ProviderUnavailable] = TtlCache(min(RETRY_SECONDS, seconds), clock=clock)
        self._last: dict[str, Listing] = {}

    async def offers(self, provider_id: str, *, fresh: bool = False) -> Listing:
        """What the provider has: nothing of one that lists nothing; `fresh` asks again whatever is remembered.

        Raises:
            ProviderUnavailable: it did not answer, or not in time.
        """
        if provider_id not in self._asks:
            return {}
        if not fresh:
            failure = self._failures.peek(provider_id)
            if failure is not None:
                raise failure
            listing = self._listings.peek(provider_id)
            if listing is not None:
                return listing
        with upstream_wait():
            return await self._listings.refresh(provider_id, lambda: self._ask(provider_id))

    async def everything(self) -> dict[str, Listing]:
        """All listings; a provider that is down shows what it had last, or nothing."""
        stale = [name for name in self._asks if self._listings.peek(name) is None]
        await asyncio.gather(*map(self._try, stale))
        return {name: self._last.get(name, {}) for name in self._asks}

    async def close(self) -> None:
        """End the listings under way; nothing is asked any more."""
        await self._listings.close()

    async def _try(self, provider_id: str) -> None:
        with suppress(ProviderUnavailable):
            await self.offers(provider_id)

    async def _ask(self, provider_id: str) -> Listing:
        try:
            async with asyncio.timeout(self._patience):
                offers = await self._asks[provider_id]()
        except (ApiError, TimeoutError) as failure:
            log.warning("provider %s did not list what it has: %s", provider_id, type(failure).__name__)
            message = f"Provider `{provider_id}` could not be asked what it serves. Try again when it is up."
            if isinstance(failure, SecretUnavailable):
                message = f"Provider `{provider_id}` could not be asked what it serves. {failure.message}"
            unavailable = ProviderUnavailable(message)
            self._failures.put(provider_id, unavailable)
            raise unavailable from failure
        self._failures.forget(provider_id)
        self._last[provider_id] = {offer["id"]: offer for offer in offers}
        return self._last[provider_id]
