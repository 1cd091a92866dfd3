"""What each provider says it has: asked in parallel, remembered for a bounded time."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
import json
import logging
import time
from types import MappingProxyType
from typing import Any, Final, cast

from core.errors import ApiError, ProviderUnavailable, SecretUnavailable
from core.frame.callers import upstream_wait
from core.frame.resources import Offer
from core.platform.ttl_cache import TtlCache, copy_failure
from core.routing.isolation import ProviderMistake, Question, ask_apart, failure_of

ASK_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0  # a provider that did not answer is left alone for this long

MOST_NAME: Final = 512  # characters of an offer's id, as in requests

log = logging.getLogger(__name__)
type Listing = Mapping[str, Offer]
"""By the provider's own ids."""


class Catalog:
    """Listings by provider id; of callers that need one at the same time, one asks."""

    def __init__(
        self,
        asks: Mapping[str, Question],
        *,
        seconds: float,
        fields: Mapping[str, object] = MappingProxyType({}),
        secrets: Callable[[str], Collection[str]] = lambda _: (),
        patience: float = ASK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember each listing for `seconds`, wait `patience` seconds for one; nothing is asked before it is needed.

        `asks` give sequences of offers; `fields` are those of an offer of this kind, with values of their types. `secrets`
        are of a provider's config.
        """
        self._asks = dict(asks)
        self._fields = fields
        self._secrets = secrets
        self._patience = patience
        self._listings: TtlCache[str, Listing] = TtlCache(seconds, clock=clock)
        self._failures: TtlCache[str, ProviderUnavailable] = TtlCache(min(RETRY_SECONDS, seconds), clock=clock)
        self._last: dict[str, Listing] = {}

    async def offers(self, provider_id: str, *, fresh: bool = False) -> Listing:
        """What the provider has: nothing of one that lists nothing; `fresh` asks again whatever is remembered.

        Raises:
            ProviderUnavailable: it did not answer, or not in time, or with something else; the `fault` says which.
        """
        if provider_id not in self._asks:
            return {}
        if not fresh:
            failure = self._failures.peek(provider_id)
            if failure is not None:
                raise copy_failure(failure) from failure.__cause__
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
            answer = await ask_apart(self._asks[provider_id], self._patience, lambda: self._secrets(provider_id))
            listing = read_listing(answer, self._fields)
        except (ApiError, ProviderMistake, TimeoutError) as failure:
            reason = failure_of(failure, self._patience)
            log.warning(
                "provider %s did not list what it has: %s",
                provider_id,
                reason,
                extra={"provider": provider_id, "reason": reason},
            )
            message = f"Provider `{provider_id}` could not be asked what it serves. Try again when it is up."
            if isinstance(failure, SecretUnavailable):
                message = f"Provider `{provider_id}` could not be asked what it serves. {failure.message}"
            unavailable = ProviderUnavailable(message, headers={"retry-after": f"{RETRY_SECONDS:.0f}"})
            unavailable.fault = unavailable.reason = reason
            unavailable.provider_id = provider_id
            self._failures.put(provider_id, unavailable)
            raise unavailable from failure
        self._failures.forget(provider_id)
        self._last[provider_id] = listing
        return listing


def read_listing(answer: object, fields: Mapping[str, object]) -> Listing:
    """By their ids; raises ProviderMistake for what is no list of offers that can be sent as JSON."""
    if not isinstance(answer, list | tuple):
        raise ProviderMistake(f"listed what it has as {type(answer).__name__}, not as a list")
    listing: dict[str, Offer] = {}
    for offer in cast("list[object] | tuple[object, ...]", answer):
        fault = _offer_fault(offer, fields)
        if fault:
            raise ProviderMistake(f"listed {fault}")
        listing[cast("Offer", offer)["id"]] = cast("Offer", offer)
    return listing


def _offer_fault(offer: object, fields: Mapping[str, object]) -> str:
    """What is wrong with it, as what was listed; "" where nothing is."""
    if not isinstance(offer, dict):
        return f"{type(offer).__name__} where an object was due"
    entry = cast("dict[str, Any]", offer)
    name = entry.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
        return "something without an id"
    for field, default in fields.items():
        if field in entry and not isinstance(entry[field], type(default)):
            return f"`{name}` with a {field} that is {type(entry[field]).__name__}"
    try:
        json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return f"{name!r} with what is no JSON"
    return ""
