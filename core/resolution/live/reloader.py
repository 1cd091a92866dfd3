"""A stack that is swapped whole when another configuration is in force; what is under way keeps the one it began with."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
import logging

from core.config.overlay import apply_overlay
from core.config.problems import ConfigInvalid
from core.resolution.external.compliance import NotCompliant
from core.resolution.live.poller import ConfigurationPoller
from core.resolution.resolve import resolve
from core.resolution.stack import Stack, close_all

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class CurrentStack[T]:
    """A stack, its `endpoints`, and how many answers are under way over it; version 0 is the run config's alone."""

    stack: Stack
    version: int
    endpoints: T
    busy: int = 0


class StackReloader[T]:
    """The stack in force, with the endpoints that `make` makes of it."""

    def __init__(
        self, apis: Iterable[str], stack: Stack, poller: ConfigurationPoller, make: Callable[[Stack], T]
    ) -> None:
        """`stack` is what `apis` were resolved to from the run config alone."""
        self._apis = tuple(apis)
        self._poller = poller
        self._make = make
        self._current = CurrentStack(stack, 0, make(stack))
        self._all = [self._current]
        self._refused: int | None = None
        self._lock = asyncio.Lock()

    async def acquire(self, *, fresh: bool = True) -> CurrentStack[T]:
        """The stack in force, for one answer, after which it is to be released; unless `fresh`, the last known one.

        Raises:
            ProviderUnavailable: the configuration in force cannot be read.
        """
        if fresh:
            active = (await self._poller.head()).active
            if active not in (self._current.version, self._refused):
                async with self._lock:
                    if active not in (self._current.version, self._refused):
                        await self._swap(active)
        self._current.busy += 1
        return self._current

    async def release(self, current: CurrentStack[T]) -> None:
        """The answer is whole: the last over a replaced stack closes what no other uses."""
        current.busy -= 1
        await self._clear(current)

    async def close(self) -> None:
        for current in self._all:
            await current.stack.stop_reading()
        await close_all([instance for current in self._all for instance in current.stack.instances])
        await self._current.stack.close()
        await self._poller.close()

    async def _swap(self, version: int) -> None:
        configuration = await self._poller.store.get(version) if version else None
        if version and configuration is None:
            return  # removed since the head was read: the next reading tells what is in force
        overlay = {} if configuration is None else configuration.overlay
        earlier = self._current
        try:
            merged = apply_overlay(earlier.stack.loaded, overlay)
            stack = await resolve(merged, self._apis, version=earlier.stack.version, earlier=earlier.stack)
        except (ConfigInvalid, NotCompliant) as invalid:
            self._refused = version
            log.error("configuration %s does not fit here, %s stays in force: %s", version, earlier.version, invalid)  # noqa: TRY400 - a report, no bug
            return
        self._refused = None
        self._current = CurrentStack(stack, version, self._make(stack))
        self._all.append(self._current)
        log.info("configuration %s is in force, after %s", version, earlier.version)
        await self._clear(earlier)

    async def _clear(self, current: CurrentStack[T]) -> None:
        if current is self._current or current.busy or current not in self._all:
            return
        self._all.remove(current)
        await current.stack.stop_reading()
        in_use = {id(instance) for other in self._all for instance in other.stack.instances}
        await close_all([instance for instance in current.stack.instances if id(instance) not in in_use])
