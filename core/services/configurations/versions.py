"""Versions of the configuration, one after the other: what is wanted is validated, then stored over a head that still holds."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import time
from typing import Final, Protocol

from pydantic_core import to_json

from core.apis.configurations import Configuration
from core.config.overlay import Overlay
from core.config.problems import Problem
from core.errors import BodyTooLarge, Conflict, InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.platform.retry import Backoff
from core.services.configurations.overrides import Change, Viewed
from core.stores.configurations.port import ConfigurationStore, Head

LARGEST: Final = 256 * 1024  # bytes of a stored overlay; DynamoDB takes items of 400 KB
BACKOFF: Final = Backoff(0.04, 0.5, tries=50)  # when another version came in between
OFF: Final = "The Configuration API is not on here: the run config has no `configurations: {}`."


class ConfigurationValidator(Protocol):
    """Knows the run config and the provider types of this build."""

    def view_providers(self, overlay: Overlay) -> list[Viewed]:
        """The providers under this overlay; those of the run config alone where it does not fit that any more."""
        ...

    async def objections(self, before: Overlay, after: Overlay, *, ask: bool) -> list[Problem]:
        """What speaks against `after`; with `ask`, the providers that differ are asked for the models they serve."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change, made of the overlay in force; `based_on` is the version that must still be in force, if any."""

    change: Callable[[Overlay], Change]
    owner: JsonObject | None
    based_on: int | None = None
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Versions:
    """What all callers of a process share. `note_head` is called with each new head; without a `store` the API is off."""

    validator: ConfigurationValidator
    opened_store: ConfigurationStore | None
    note_head: Callable[[Head], None]
    clock: Callable[[], float] = time.time
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def store(self) -> ConfigurationStore:
        """Raises NotFound where the API is off."""
        if self.opened_store is None:
            raise NotFound(OFF)
        return self.opened_store

    async def head(self) -> Head:
        """The head as of now; that of an empty store where the API is off."""
        return Head() if self.opened_store is None else await self.opened_store.head()

    async def overlay(self, version: int) -> Overlay:
        """What that version lays over the run config; nothing for 0 and for one that is gone."""
        found = await self.store.get(version) if version else None
        return {} if found is None else found.overlay

    async def put(self, wanted: Wanted) -> tuple[Configuration, Change]:
        """Store the change as the next version and put it in force, however often others come first.

        What changes nothing makes no version: then it is the one in force.

        Raises:
            InvalidRequest: everything that speaks against it.
            Conflict: another version than `based_on` is in force.
            BodyTooLarge: the overlay would be larger than LARGEST.
        """
        async with self.turn:
            for pause in BACKOFF.pauses():
                await asyncio.sleep(pause)
                head = await self.store.head()
                if wanted.based_on is not None and wanted.based_on != head.active:
                    raise Conflict(
                        f"It is based on version {wanted.based_on}; {head.active} is in force. Inspect again."
                    )
                before = await self.overlay(head.active)
                change = wanted.change(before)
                await self._judged(before, change, ask=not (wanted.force or pause))  # the first time only
                made = Configuration(
                    head.latest + 1, change.overlay, int(self.clock()), owner=wanted.owner, note=change.note
                )
                same = await self.store.get(head.active) if head.active and change.overlay == before else None
                if same is not None or wanted.dry_run:
                    return same or made, change
                if await self.store.append(made, after=head):
                    self.note_head(Head(made.version, made.version))
                    return made, change
        raise _busy()

    async def remove(self, configuration: Configuration) -> None:
        """Remove it; what falls back to the run config alone is validated before. Raises InvalidRequest, NotFound."""
        for pause in BACKOFF.pauses():
            await asyncio.sleep(pause)
            head = await self.store.head()
            if head.active == configuration.version:
                refuse(await self.validator.objections(configuration.overlay, {}, ask=False))
            if await self.store.remove(configuration.version, after=head):
                self.note_head(Head(head.latest, 0 if head.active == configuration.version else head.active))
                return
        raise _busy()

    async def _judged(self, before: Overlay, change: Change, *, ask: bool) -> None:
        refuse(change.problems)
        if len(to_json(change.overlay)) > LARGEST:
            raise BodyTooLarge(LARGEST)
        refuse(await self.validator.objections(before, change.overlay, ask=ask))


def refuse(problems: Sequence[Problem]) -> None:
    """Raise InvalidRequest with all of them, if there are any."""
    if problems:
        raise InvalidRequest("; ".join(str(problem) for problem in problems), param=problems[0].path or None)


def _busy() -> Conflict:
    return Conflict("Others are registering configurations at the same time. Try again.")
