"""Which configuration is in force, as one process knows it.

The head is asked for before an answer, when what is known of it is older than `seconds`: no answer follows a configuration
that was replaced longer ago. When the store cannot be asked, the last known stays in force; whoever has never asked fails.
"""

import asyncio
from collections.abc import Callable
from functools import cache
import logging
import time
from typing import Final

from core.config.records import DynamoStore, SqliteStore
from core.errors import ApiError, ProviderUnavailable
from core.stores.configurations.port import ConfigurationStore, Head
from core.stores.connect import CONFIGURATIONS

log = logging.getLogger(__name__)

PATIENCE: Final = 3.0  # seconds for the store
RETRY_SECONDS: Final = 1.0  # after it could not be asked


class ConfigurationPoller:
    """Shared by the stacks of a process, so that all of them hear at once what one has registered."""

    def __init__(
        self,
        store: ConfigurationStore,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self.store = store
        self._seconds = seconds
        self._clock = clock
        self._patience = patience
        self._head: Head | None = None
        self._due = float("-inf")
        self._writes = 0
        self._asking: asyncio.Task[None] | None = None

    async def head(self) -> Head:
        """The head of at most `seconds` ago.

        Raises:
            ProviderUnavailable: it cannot be read, and never was.
        """
        if self._head is None or self._clock() >= self._due:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(self._ask())
            asking = self._asking
            await asyncio.wait({asking})  # it goes on for others where this caller leaves
            if not asking.cancelled():  # as `close` does
                asking.result()
        if self._head is None:
            raise ProviderUnavailable("The configuration in force cannot be read. Try again.")
        return self._head

    def note_head(self, head: Head) -> None:
        """This process has just written it."""
        self._writes += 1
        self._head, self._due = head, self._clock() + self._seconds

    async def close(self) -> None:
        """End the question under way and close the store; a later question opens it again."""
        asking = self._asking
        if asking is not None and asking.get_loop() is asyncio.get_running_loop():
            asking.cancel()
            await asyncio.wait({asking})
        await self.store.close()

    async def _ask(self) -> None:
        start, writes = self._clock(), self._writes
        try:
            async with asyncio.timeout(self._patience):
                head = await self.store.head()
        except (ApiError, TimeoutError) as failure:
            log.warning("the configuration in force cannot be read: %r", failure)
            self._due = self._clock() + min(RETRY_SECONDS, self._seconds)
            return
        if writes == self._writes:  # else what was read may be older than what was written here meanwhile
            self._head, self._due = head, start + self._seconds


@cache
def poller_of(store: SqliteStore | DynamoStore, seconds: float) -> ConfigurationPoller:
    """The one of this process for that store."""
    return ConfigurationPoller(CONFIGURATIONS.connect(store), seconds)
