"""A registry as one caller sees it: the one place where the access policy is enforced, for every kind.

What a caller may not read does not exist for it: not in a list, not in a count, not by name, not as a conflict.
Source: the effects of AccessRule in Llama Stack 0.2.12 and 0.7.3 (404 for what is hidden, 403 for what is denied).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
import time
from typing import Any, Final

from core.config.policy import Action
from core.errors import Conflict, NotFound, PermissionDenied
from core.frame.callers import Principal
from core.frame.resources import Kind, Resource
from core.routing.policy import Policy, owner_of
from core.routing.registry import Page, Registry

MISS_SECONDS: Final = 0.025
"""A 404 leaves no earlier than this after it was asked for, so that its time does not tell hidden from missing."""
FETCHED: Final = 100
"""Resources read at a time, once a first page had too few that may be read."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The policy, and how long a 404 takes, in seconds; `clock` and `sleep` are monotonic and of the event loop."""

    policy: Policy
    miss_seconds: float = 0.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep


class GuardedRegistry:
    """`registry` for `principal`; None is the stack itself, which may do everything."""

    def __init__(self, registry: Registry, enforcement: Enforcement, principal: Principal | None) -> None:
        """Made for a call: it holds nothing of its own."""
        self.kind: Kind = registry.kind
        self._registry = registry
        self._enforcement = enforcement
        self._principal = principal

    async def get(self, identifier: str) -> Resource:
        """The resource; raises NotFound also for one that may not be read."""
        begun = self._enforcement.clock()
        try:
            resource = await self._registry.get(identifier)
            if not self._may("read", resource):
                raise self._registry.unknown(identifier)
        except NotFound:
            await self._pause(begun)
            raise
        return resource

    async def page(self, *, after: str, limit: int) -> Page:
        """At most `limit` of those that may be read; `has_more` speaks of those alone."""
        found: list[Resource] = []
        more, size = True, limit + 1
        while more and len(found) <= limit:
            page = await self._registry.page(after=after, limit=size)
            size = max(size, FETCHED)
            found += [resource for resource in page.resources if self._may("read", resource)]
            more = page.has_more
            after = page.resources[-1].identifier if page.resources else after
        return Page(found[:limit], len(found) > limit)

    async def register(self, wanted: Resource) -> Resource:
        """Register `wanted` as the caller's own.

        Raises:
            PermissionDenied: it may not be created, or what it stands for may not be read.
            Conflict: the identifier is taken; of what the caller may not read nothing else is said.
        """
        owned = replace(wanted, owner=owner_of(self._principal))
        if not self._may("read", self._registry.meant(owned)) or not self._may("create", owned):
            raise self._denied("create", wanted.identifier)
        try:
            kept = await self._registry.register(owned, may_see=lambda resource: self._may("read", resource))
        except Conflict:
            taken = await self._hidden(wanted.identifier)
            if taken is None:
                raise
            raise taken from None
        if not self._may("read", kept):
            raise _taken(wanted.identifier)
        return kept

    async def unregister(self, identifier: str) -> None:
        """Remove it; raises NotFound for what may not be read, PermissionDenied for what may not be deleted."""

        def check(resource: Resource) -> None:
            if not self._may("read", resource):
                raise self._registry.unknown(identifier, "registered")
            if not self._may("delete", resource):
                raise self._denied("delete", identifier)

        begun = self._enforcement.clock()
        try:
            await self._registry.unregister(identifier, check)
        except NotFound:
            await self._pause(begun)
            raise

    def provider_of(self, body: dict[str, Any]) -> str:
        """The provider that a register body names, or the only one there is."""
        return self._registry.provider_of(body)

    def _may(self, action: Action, resource: Resource) -> bool:
        also = self._registry.other_names(resource)
        return self._enforcement.policy.allows(self._principal, action, resource, also)

    def _denied(self, action: Action, identifier: str) -> PermissionDenied:
        name = self.kind.name.replace("_", " ")
        return PermissionDenied(f"The access policy does not let you {action} the {name} `{identifier}`.")

    async def _hidden(self, identifier: str) -> Conflict | None:
        try:
            await self.get(identifier)
        except NotFound:
            return _taken(identifier)
        return None

    async def _pause(self, begun: float) -> None:
        left = self._enforcement.miss_seconds - (self._enforcement.clock() - begun)
        if left > 0:
            await self._enforcement.sleep(left)


def _taken(identifier: str) -> Conflict:
    return Conflict(f"`{identifier}` is taken. Choose another identifier.")
