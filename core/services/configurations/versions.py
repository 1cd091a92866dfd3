"""The versions of the configuration: a change is validated, then stored if its base is still in force."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
import time
from typing import Final, Protocol

from pydantic_core import to_json

from core.apis.configurations import Configuration
from core.config.overlay import Overlay
from core.config.problems import Problem
from core.errors import BodyTooLarge, Conflict, InvalidRequest, NotFound, shorten
from core.frame.callers import Principal
from core.frame.types import JsonObject
from core.platform.retry import Backoff
from core.services.configurations.overrides import ConfiguredProvider, ProposedOverlay
from core.services.configurations.shown import show_changed
from core.stores.audit.entry import Change, Verb
from core.stores.configurations.port import ConfigurationStore, Head

LARGEST: Final = 256 * 1024  # bytes of a stored overlay; DynamoDB takes items of 400 KB
MOST_PROBLEMS: Final = 5  # that one refusal tells of
MOST_TEXT: Final = 300  # bytes of each
BACKOFF: Final = Backoff(0.04, 0.5, tries=50)  # when another version came in between
OFF: Final = "The Configuration API is not on here: the run config has no `configurations: {}`."


class ConfigurationValidator(Protocol):
    """Knows the run config and the provider types of this build."""

    def list_providers(self, overlay: Overlay) -> list[ConfiguredProvider]:
        """The providers under this overlay; those of the run config alone where the overlay no longer fits it."""
        ...

    async def find_problems(self, before: Overlay, after: Overlay, *, ask: bool) -> list[Problem]:
        """What is wrong with `after`; with `ask`, the providers that differ from `before` must list their models."""
        ...


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """`propose` makes the new overlay from the one in force.

    `based_on` is the version that must still be in force, if any. `force` does not ask the changed providers, `dry_run`
    stores nothing. The audit trail says that it is the doing of `by`, and is `about` the new version, if it says nothing else.
    """

    propose: Callable[[Overlay], ProposedOverlay]
    owner: JsonObject | None
    based_on: int | None = None
    force: bool = False
    dry_run: bool = False
    by: Principal | None = None
    about: tuple[Verb, str] | None = None


@dataclass(frozen=True, slots=True)
class Versions:
    """Shared by all callers of a process. `note_head` is called with each new head; without a store the API is off."""

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
        """Read from the store now; the head of an empty one where the API is off."""
        return Head() if self.opened_store is None else await self.opened_store.head()

    async def overlay(self, version: int) -> Overlay:
        """The overlay of a version; empty for 0, which is the run config alone, and for a version that was removed."""
        configuration = await self.store.get(version) if version else None
        return {} if configuration is None else configuration.overlay

    async def put(self, request: ChangeRequest) -> tuple[Configuration, ProposedOverlay]:
        """Store the change as the next version and put it in force.

        Where another came first, it is made again over that. A change of nothing makes no version: the one in force is
        returned.

        Raises:
            InvalidRequest: everything that is wrong with it.
            Conflict: another version than `based_on` is in force, or others came first for too long.
            BodyTooLarge: the overlay would be larger than LARGEST.
        """
        async with self.turn:
            for pause in BACKOFF.pauses():
                await asyncio.sleep(pause)
                head = await self.store.head()
                if request.based_on is not None and request.based_on != head.active:
                    raise Conflict(
                        f"It is based on version {request.based_on}, but {head.active} is in force. Inspect again."
                    )
                before = await self.overlay(head.active)
                change = request.propose(before)
                ask = not (request.force or pause)  # at the first try only
                await self._validate(before, change, ask=ask)
                proposal = Configuration(
                    head.latest + 1, change.overlay, int(self.clock()), owner=request.owner, note=change.note
                )
                same = await self.store.get(head.active) if head.active and change.overlay == before else None
                if same is not None or request.dry_run:
                    return same or proposal, change
                verb, entity = request.about or ("create", f"configuration::{proposal.version}")
                noted = self._change(
                    request.by, verb, entity, (head.active, before), (proposal.version, proposal.overlay)
                )
                if await self.store.append(proposal, after=head, change=noted):  # false: another process was first
                    self.note_head(Head(proposal.version, proposal.version))
                    return proposal, change
        raise _busy()

    async def remove(self, configuration: Configuration, *, by: Principal | None) -> None:
        """Remove a version, as the doing of `by`; without the active one the run config holds alone, which is validated before that.

        Raises:
            InvalidRequest: resources need what only this version has.
            NotFound: it was removed meanwhile.
            Conflict: others came first for too long.
        """
        for pause in BACKOFF.pauses():
            await asyncio.sleep(pause)
            head = await self.store.head()
            if head.active == configuration.version:
                refuse(await self.validator.find_problems(configuration.overlay, {}, ask=False))
            noted = change_of_removal(configuration, by, self.validator.list_providers(configuration.overlay))
            if await self.store.remove(configuration.version, after=head, change=noted):
                self.note_head(Head(head.latest, 0 if head.active == configuration.version else head.active))
                return
        raise _busy()

    def _change(
        self, by: Principal | None, verb: Verb, entity: str, before: tuple[int, Overlay], after: tuple[int, Overlay]
    ) -> Change:
        """Of a version that comes after another; version 0 is the run config alone."""
        old, new = (
            {"version": version, "providers": show_changed(overlay, other, self.validator.list_providers(overlay))}
            for (version, overlay), (_, other) in ((before, after), (after, before))
        )
        return Change(by, verb, entity, old, new)

    async def _validate(self, before: Overlay, change: ProposedOverlay, *, ask: bool) -> None:
        refuse(change.problems)
        if len(to_json(change.overlay)) > LARGEST:
            raise BodyTooLarge(LARGEST)
        refuse(await self.validator.find_problems(before, change.overlay, ask=ask))


def change_of_removal(
    configuration: Configuration, by: Principal | None, providers: Iterable[ConfiguredProvider]
) -> Change:
    """What the audit trail is told; `providers` are those under the version that goes."""
    version = configuration.version
    content = show_changed(configuration.overlay, {}, providers)
    return Change(by, "delete", f"configuration::{version}", {"version": version, "providers": content}, None)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise InvalidRequest with the first of them, if there are any."""
    if problems:
        texts = [shorten(str(problem), MOST_TEXT) for problem in problems[:MOST_PROBLEMS]]
        further = ["and more"] if len(problems) > MOST_PROBLEMS else []
        raise InvalidRequest("; ".join([*texts, *further]), param=problems[0].path or None)


def _busy() -> Conflict:
    return Conflict("Others are registering configurations at the same time. Try again.")
