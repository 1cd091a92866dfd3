"""How many streams a client may have open at a time: each is a lease in a semaphore of the quota's store."""

from collections.abc import Callable
import logging
from math import ceil
import time
from typing import Final
from uuid import uuid4

from core.config.security import QuotaConfig
from core.errors import QuotaUnavailable, TooManyStreams
from core.frame.callers import Call, Principal
from core.quota.identity import identity
from core.stores.semaphores.port import SemaphoreStore

LONGEST_LEASE: Final = (
    900.0  # seconds, which no function outlives; a stream of `llambda serve` that does no longer counts
)

log = logging.getLogger(__name__)


def most_streams(config: QuotaConfig, principal: Principal) -> int | None:
    """Of the caller's roles that have this limit the largest; without such roles the common one. None is no limit."""
    roles = principal.attributes.get("roles", ())
    limits = [config.roles[role].max_streams for role in roles if role in config.roles]
    return max((limit for limit in limits if limit is not None), default=config.max_streams)


class StreamPermit:
    """One open stream of a client."""

    def __init__(self, store: SemaphoreStore | None = None, key: str = "", holder: str = "") -> None:
        """Without `store` there is nothing to release."""
        self._store = store
        self._key = key
        self._holder = holder

    async def release(self) -> None:
        """The stream has ended. Only the first call counts. It never raises: where the store fails, the lease ends by itself."""
        store, self._store = self._store, None
        if store is None:
            return
        try:
            await store.release(self._key, self._holder)
        except QuotaUnavailable as failure:
            log.warning("quota: a stream that has ended counts until its lease ends: %s", failure)


class StreamLimit:
    """The semaphores decide alone: any number of processes over one store have no more streams open than the limit."""

    def __init__(self, config: QuotaConfig, store: SemaphoreStore, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds."""
        self._config = config
        self._store = store
        self._clock = clock

    async def acquire(self, call: Call, seconds: float = LONGEST_LEASE) -> StreamPermit:
        """One more stream of the caller, which ends in `seconds` at the latest.

        Raises:
            TooManyStreams: the caller has as many open as it may.
            QuotaUnavailable: the store cannot be reached, unless the config allows the call then.
        """
        most = most_streams(self._config, call.principal)
        if most is None:
            return StreamPermit()
        key, holder, now = identity(call), uuid4().hex, self._clock()
        until = ceil(now + min(seconds, LONGEST_LEASE))
        try:
            permitted = await self._store.acquire(key, holder, most=most, now=int(now), until=until)
        except QuotaUnavailable as failure:
            if self._config.on_store_failure == "deny":
                raise
            log.warning("quota: a stream is allowed without being counted: %s", failure)
            return StreamPermit()
        if permitted:
            return StreamPermit(self._store, key, holder)
        if self._config.shadow:
            log.warning("quota (shadow): a stream of %s would be refused", key)
            return StreamPermit()
        raise TooManyStreams(most)
