"""Who may do what: the one place where the access policy decides, for resources, configurations, documents and jobs alike.

What a caller may not read does not exist for it: not in a list, not in a count, not by name, not as a conflict.
Source: the effects of AccessRule in Llama Stack 0.2.12 and 0.7.3 (404 for what is hidden, 403 for what is denied).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
import time
from typing import Any, Final

from core.config.policy import Action, Condition, matches_pattern
from core.errors import Conflict, NotFound, PermissionDenied
from core.frame.callers import Call, Principal
from core.frame.resources import Kind, Resource
from core.routing.policy import Decision, Entity, Owner, Policy, owner_of
from core.routing.registry import MaySee, Page, Registry, at_provider

NOT_FOUND_FLOOR_SECONDS: Final = 0.025
"""A 404 leaves no earlier than this after it was asked for, so that its time does not tell hidden from missing."""
MODEL: Final = "model"  # the kind that a caller's grant is about
NO_RULE: Final = (
    "No rule of the access policy lets you {0} `{1}::{2}`. It takes one of its own, as "
    "`permit: {{actions: [{0}], resource: '{1}::*'}}` with a condition; or let the run config say it."
)
PAGE_SIZE: Final = 100
"""Resources read at a time, once a first page had too few that may be read."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The policy, and how long a 404 takes at least, in seconds; `clock` and `sleep` are monotonic and of the event loop."""

    policy: Policy
    not_found_floor_seconds: float = 0.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Item:
    """What is no Resource, as rules see it: `kind::identifier`, and whoever made it."""

    kind: str
    identifier: str
    owner: Owner | None = None


class Guard:
    """What one caller may do; None is the stack itself, which may do everything."""

    __slots__ = ("_enforcement", "principal")

    def __init__(self, enforcement: Enforcement, principal: Principal | None) -> None:
        self._enforcement = enforcement
        self.principal = principal

    @property
    def owner(self) -> dict[str, Any] | None:
        """What is kept of this caller with whatever it makes."""
        return owner_of(self.principal)

    def allows(
        self, action: Action, entity: Entity, also: Sequence[str] = (), *, stands_for: Sequence[str] = ()
    ) -> bool:
        """Whether the caller may; see `Policy.decide`."""
        return self._enforcement.policy.allows(self.principal, action, entity, also, stands_for=stands_for)

    def decide(self, action: Action, entity: Entity) -> Decision:
        """See `Policy.decide`."""
        return self._enforcement.policy.decide(self.principal, action, entity)

    def holds(self, condition: Condition, principal: Principal, owner: Owner | None) -> bool:
        """See `Policy.holds`."""
        return self._enforcement.policy.holds(condition, principal, owner)

    def require(self, action: Action, entity: Entity, also: Sequence[str] = ()) -> None:
        """Raise PermissionDenied unless the caller may. What it may not read must be a NotFound before that."""
        if not self.allows(action, entity, also):
            raise denial(action, entity.kind, entity.identifier)

    def now(self) -> float:
        """When something was asked for, for `pause`."""
        return self._enforcement.clock()

    async def pause(self, asked_at: float) -> None:
        """Wait before a NotFound leaves, so that what is hidden takes no longer than what is missing."""
        remaining = self._enforcement.not_found_floor_seconds - (self._enforcement.clock() - asked_at)
        if remaining > 0:
            await self._enforcement.sleep(remaining)


def denial(action: Action, kind: str, identifier: str) -> PermissionDenied:
    return PermissionDenied(f"The access policy does not let you {action} the {kind.replace('_', ' ')} `{identifier}`.")


type RegistryFactory = Callable[[Call | None], GuardedRegistry]
"""A registry as it is for one call; None is the stack itself."""


@dataclass(slots=True)
class LastDecision:
    """Whether the principal that asked last may read what it asked for: it follows from these two alone, and the rows of a job ask the same."""

    principal: Principal | None = None
    resource: Resource | None = None
    may: bool = False


class GuardedRegistry:
    """`registry` for `principal`; None is the stack itself, which may do everything."""

    def __init__(
        self,
        registry: Registry,
        enforcement: Enforcement,
        principal: Principal | None,
        *,
        fixed: bool = False,
        last: LastDecision | None = None,
    ) -> None:
        """Made for one call, of which each resource is resolved once: what it sees does not change under it.

        A `fixed` one has only names that nobody registers: those that the run config means. Those of one stack may share a `last`.
        """
        self.kind: Kind = registry.kind
        self._registry = registry
        self._guard = Guard(enforcement, principal)
        self._fixed = fixed
        self._last = LastDecision() if last is None else last
        self._resolved: dict[str, Resource] = {}

    async def get(self, identifier: str) -> Resource:
        """The resource; raises NotFound also for one that may not be read."""
        if (resolved := self._resolved.get(identifier)) is not None:
            return resolved
        start = self._guard.now()
        try:
            resource = await self._registry.get(identifier)
            if not self._may_read(resource) or (self._fixed and not self._registry.fixes(identifier)):
                raise self._registry.missing_error(identifier)
        except NotFound:
            await self._guard.pause(start)
            raise
        if self._guard.principal is not None:  # the stack itself is not one call: it asks again
            self._resolved[identifier] = resource
        return resource

    def holds(self, condition: Condition, principal: Principal, owner: Owner | None) -> bool:
        """See `Policy.holds`."""
        return self._guard.holds(condition, principal, owner)

    async def page(self, *, after: str, limit: int) -> Page:
        """At most `limit` of those that may be read; `has_more` speaks of those alone."""
        readable: list[Resource] = []
        more, size = True, limit + 1
        may_begin_after: MaySee = lambda resource: self._may("read", resource)  # noqa: E731 - the first page's alone
        while more and len(readable) <= limit:
            page = await self._registry.page(after=after, limit=size, may_see=may_begin_after)
            may_begin_after = lambda _: True  # noqa: E731
            size = max(size, PAGE_SIZE)
            readable += [resource for resource in page.resources if self._may("read", resource)]
            more = page.has_more
            after = page.resources[-1].identifier if page.resources else after
        return Page(readable[:limit], len(readable) > limit)

    async def register(self, resource: Resource) -> Resource:
        """Register `resource` as the caller's own.

        Raises:
            PermissionDenied: it may not be created, or what it stands for may not be read, or a right of its own is missing.
            Conflict: the identifier is taken; of what the caller may not read nothing else is said.
        """
        owned = replace(resource, owner=self._guard.owner)
        if not self._may("read", at_provider(owned)) or not self._may("create", owned):
            raise denial("create", self.kind.name, resource.identifier)
        for key in self.kind.granted:
            if key in (resource.attributes.get("metadata") or {}):
                self._require_named("create", Item(key, resource.identifier))
        try:
            stored = await self._registry.register(
                owned, may_see=lambda other: self._may("read", other), by=self._guard.principal
            )
        except Conflict:
            conflict = await self._hidden(resource.identifier)
            if conflict is None:
                raise
            raise conflict from None
        if not self._may("read", stored):
            raise conflict_over(resource.identifier)
        return stored

    async def unregister(self, identifier: str) -> None:
        """Remove it; raises NotFound for what may not be read, PermissionDenied for what may not be deleted."""

        def check(resource: Resource) -> None:
            if not self._may("read", resource):
                raise self._registry.missing_error(identifier, "registered")
            if not self._may("delete", resource):
                raise denial("delete", self.kind.name, identifier)

        start = self._guard.now()
        try:
            await self._registry.unregister(identifier, check, by=self._guard.principal)
        except NotFound:
            await self._guard.pause(start)
            raise

    def declared_at(self, provider_id: str, provider_resource_id: str) -> Sequence[Resource]:
        """What the run config declares that is served there, whoever may see it: its shields hold for other names too."""
        return self._registry.declared_at(provider_id, provider_resource_id)

    @property
    def declarations(self) -> Mapping[str, Resource]:
        """What the run config declares, by identifier and in its order, whoever may see it."""
        return self._registry.declarations

    def readable(self, declared: Iterable[str]) -> Sequence[Resource]:
        """Those of these ids of the run config that may be read. Of what may not be, nothing is waited for: the wait would tell of it."""
        rows = (self._registry.declarations[identifier] for identifier in declared)
        return [row for row in rows if self._may("read", row)]

    def declares(self, identifier: str) -> bool:
        """Whether the run config says what this means, whoever may see it."""
        return self._registry.declares(identifier)

    async def read_at(self, provider_id: str, provider_resource_id: str) -> list[Resource]:
        """What is served there, declared and registered, as far as it may be read."""
        declared = self._registry.declared_at(provider_id, provider_resource_id)
        registered = (await self._registry.registered_at(provider_id, provider_resource_id)).rows
        rows = [*declared, *(row for row in registered if not self._registry.declares(row.identifier))]
        return [row for row in rows if self._may("read", row)]

    async def own_attributes_at(self, provider_id: str, provider_resource_id: str) -> Sequence[Resource]:
        """What holds for every name of a place because anybody is anybody: without auth, what is registered there.

        Of that, what is no mere name: a call need not look at thousands of those.
        """
        if self._guard.principal is None or not self._guard.principal.anonymous:
            return ()
        return (await self._registry.registered_at(provider_id, provider_resource_id)).own

    def provider_of(self, body: dict[str, Any]) -> str:
        """The provider that a register body names, or the only one there is."""
        return self._registry.provider_of(body)

    def _may_read(self, resource: Resource) -> bool:
        last, principal = self._last, self._guard.principal
        if last.resource is not resource or last.principal is not principal:
            may = self._may("read", resource)
            last.principal, last.resource, last.may = principal, resource, may
        return last.may

    def _may(self, action: Action, resource: Resource) -> bool:
        """A resource that several places serve may be used if it may be at each of them.

        A rule about its id decides for all of its places; a rule about one place, for that one alone. What the run config
        forbids under a name of its own, nobody opens by registering another.
        """
        registry = self._registry
        if not self._grants(resource):
            return False
        if not self._guard.allows(
            action, resource, registry.other_names(resource), stands_for=registry.declared_names(resource)
        ):
            return False
        return all(
            self._guard.allows(action, place, (place.provider_name,), stands_for=registry.declared_names(place))
            for place in self.kind.list_alternates(resource)
        )

    def _grants(self, resource: Resource) -> bool:
        """Whether the caller's key is for this model, under any of its names, and for each of the places that serve it."""
        principal = self._guard.principal
        patterns = None if principal is None or principal.grant is None else principal.grant.models
        if patterns is None or self.kind.name != MODEL:
            return True
        names = [(resource.identifier, *self._registry.other_names(resource))]
        names += [(place.identifier, place.provider_name) for place in self.kind.list_alternates(resource)]
        return all(any(matches_pattern(pattern, name) for pattern in patterns for name in row) for row in names)

    def _require_named(self, action: Action, item: Item) -> None:
        """Raise PermissionDenied, which says what rule it takes, unless one names what `BY_NAME` has: whoever calls where there is no auth has none."""
        if not self._guard.allows(action, item):
            raise PermissionDenied(NO_RULE.format(action, item.kind, item.identifier))

    async def _hidden(self, identifier: str) -> Conflict | None:
        try:
            await self.get(identifier)
        except NotFound:
            return conflict_over(identifier)
        return None


def conflict_over(identifier: str) -> Conflict:
    return Conflict(f"`{identifier}` is taken. Choose another identifier.")
