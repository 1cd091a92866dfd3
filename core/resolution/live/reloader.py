"""A stack that is swapped whole when another configuration is in force; what is under way keeps the one it began with."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
import logging

from core.config.load import Loaded
from core.config.overlay import apply_overlay
from core.config.problems import ConfigInvalid
from core.resolution.external.compliance import NotCompliant
from core.resolution.live.poller import Watch
from core.resolution.resolve import resolve
from core.resolution.stack import Stack, close_all

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Held[T]:
    """A stack, what is made of it, and how many answers are under way over it; version 0 is the run config's alone."""

    stack: Stack
    version: int
    made: T
    busy: int = 0


class Live[T]:
    """The stack in force, with what `make` makes of it."""

    def __init__(
        self, loaded: Loaded, wanted: Iterable[str], stack: Stack, watch: Watch, make: Callable[[Stack], T]
    ) -> None:
        """`stack` is what `wanted` was resolved to from `loaded`, the run config alone."""
        self._loaded = loaded
        self._wanted = tuple(wanted)
        self._watch = watch
        self._make = make
        self._now = Held(stack, 0, make(stack))
        self._all = [self._now]
        self._refused: int | None = None
        self._turn = asyncio.Lock()

    async def take(self, *, fresh: bool = True) -> Held[T]:
        """The stack in force, for one answer, after which it is to be let go; unless `fresh`, the last known one.

        Raises:
            ProviderUnavailable: the configuration in force cannot be read.
        """
        if fresh:
            active = (await self._watch.head()).active
            if active not in (self._now.version, self._refused):
                async with self._turn:
                    if active not in (self._now.version, self._refused):
                        await self._swap(active)
        self._now.busy += 1
        return self._now

    async def let_go(self, held: Held[T]) -> None:
        """The answer is whole: the last over a replaced stack closes what no other uses."""
        held.busy -= 1
        await self._clear(held)

    async def close(self) -> None:
        """Let go of every connection."""
        await close_all([instance for held in self._all for instance in held.stack.instances])
        await self._now.stack.close()
        await self._watch.store.close()

    async def _swap(self, version: int) -> None:
        found = await self._watch.store.get(version) if version else None
        if version and found is None:
            return  # removed since the head was read: the next reading tells what is in force
        overlay = {} if found is None else found.overlay
        earlier = self._now
        try:
            merged = apply_overlay(self._loaded, overlay)
            stack = await resolve(merged, self._wanted, version=earlier.stack.version, earlier=earlier.stack)
        except (ConfigInvalid, NotCompliant) as invalid:
            self._refused = version
            log.error("configuration %s does not fit here, %s stays in force: %s", version, earlier.version, invalid)  # noqa: TRY400 - a report, no bug
            return
        self._refused = None
        self._now = Held(stack, version, self._make(stack))
        self._all.append(self._now)
        log.info("configuration %s is in force, after %s", version, earlier.version)
        await self._clear(earlier)

    async def _clear(self, held: Held[T]) -> None:
        if held is self._now or held.busy or held not in self._all:
            return
        self._all.remove(held)
        used = {id(instance) for other in self._all for instance in other.stack.instances}
        await close_all([instance for instance in held.stack.instances if id(instance) not in used])
