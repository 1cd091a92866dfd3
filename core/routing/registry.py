"""The registry of one kind of resource: what is declared, listed by providers, and registered.

An identifier is looked up among the run config's declarations, then in the store, then, as
`provider_id/provider_resource_id`, in what that provider lists. Declared resources live in the
run config alone: they are never written to the store, so that stacks which share a table do not
leave each other stale entries.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice
import time
from typing import Any

from core.apis.inference import ServedModel
from core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from core.frame.resources import Kind, Resource
from core.platform.ttl_cache import TtlCache
from core.routing.catalog import Catalog
from core.routing.targets import elsewhere
from core.stores.registry.port import Check, RegistryStore

NAMES_IN_A_MESSAGE = 20

type MaySee = Callable[[Resource], bool]
type Offered = Callable[[Resource, MaySee], Awaitable[None]]
"""Whether a resource's provider has it, to register: raises InvalidRequest, which names only what the caller may see."""


@dataclass(frozen=True, slots=True)
class Page:
    resources: list[Resource]
    has_more: bool


def split_identifier(identifier: str, provider_ids: Collection[str]) -> tuple[str, str] | None:
    """`provider_id/rest` if it begins with a known provider id; the longest such id wins."""
    heads = [name for name in provider_ids if identifier.startswith(f"{name}/") and len(identifier) > len(name) + 1]
    if not heads:
        return None
    head = max(heads, key=len)
    return head, identifier[len(head) + 1 :]


def listed(kind: Kind, provider_id: str, served: ServedModel) -> Resource:
    """A resource that nobody registered, as its provider describes it."""
    attributes = {name: served.get(name, default) for name, default in kind.fields.items()}
    name = served["id"]
    return Resource(kind.name, f"{provider_id}/{name}", provider_id, name, attributes, served.get("created", 0))


class Registry:
    """Reads and writes of one kind; `remember` seconds is how long a listed resource needs no read."""

    def __init__(  # noqa: PLR0913 - what it is made of, by name, in one place: core.resolution
        self,
        kind: Kind,
        store: RegistryStore,
        catalog: Catalog,
        *,
        provider_ids: Sequence[str],
        declared: Sequence[Resource] = (),
        remember: float = 30.0,
        offered: Offered | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Compose; nothing is read before the first call. Without `offered`, what the catalog lists can be registered."""
        self.kind = kind
        self.provider_ids = tuple(provider_ids)
        self._store = store
        self._catalog = catalog
        self._declared = {resource.identifier: resource for resource in declared}
        self._declared_names = {(row.provider_id, row.provider_resource_id): row for row in reversed(declared)}
        self._unregistered: TtlCache[str, Resource] = TtlCache(remember, clock=clock)
        self._offered = offered or self._check_served

    async def get(self, identifier: str) -> Resource:
        """The resource that `identifier` names, in either form.

        Raises:
            NotFound: nothing declared, registered or listed has this identifier.
            ProviderUnavailable: only its provider could tell, and it is down.
        """
        if (resource := self._declared.get(identifier)) is not None:
            return resource
        if (resource := self._unregistered.peek(identifier)) is not None:
            return resource
        resource = await self._store.get(self.kind.name, identifier) or await self._by_provider_name(identifier)
        if resource is None:
            raise self.unknown(identifier)
        return resource

    def other_names(self, resource: Resource) -> tuple[str, ...]:
        """What else means it, besides its identifier: the name within its provider, and the one it is declared as."""
        full = f"{resource.provider_id}/{resource.provider_resource_id}"
        if resource.identifier != full:
            return (full,)
        declared = self._declared_names.get((resource.provider_id, resource.provider_resource_id))
        return (declared.identifier,) if declared is not None else ()

    def meant(self, resource: Resource) -> Resource:
        """What `resource` stands for, under the name that it has within its provider."""
        return replace(resource, identifier=f"{resource.provider_id}/{resource.provider_resource_id}", owner=None)

    async def _by_provider_name(self, identifier: str) -> Resource | None:
        names = split_identifier(identifier, self.provider_ids)
        if names is None:
            return None
        known = self._declared_names.get(names) or await self._store.find(self.kind.name, *names)
        if known is not None:  # what is known of it holds under this name too, which is the provider's and nobody's own
            return replace(known, identifier=identifier, owner=None)
        provider_id, name = names
        served = (await self._catalog.served(provider_id)).get(name)
        if served is None:
            return None
        resource = listed(self.kind, provider_id, served)
        self._unregistered.put(identifier, resource)
        return resource

    async def page(self, *, after: str, limit: int) -> Page:
        """At most `limit` resources after the identifier `after`, in UTF-8 byte order of identifiers."""
        known = {resource.identifier: resource for resource in await self._listed()} | self._declared
        stored = await self._store.page(self.kind.name, after=after, limit=limit + 1)
        known |= {resource.identifier: resource for resource in stored if resource.identifier not in self._declared}
        floor = after.encode()
        rows = sorted((r for r in known.values() if r.identifier.encode() > floor), key=lambda r: r.identifier.encode())
        return Page(list(islice(rows, limit)), len(rows) > limit)

    async def _listed(self) -> list[Resource]:
        everything = await self._catalog.everything()
        rows = [listed(self.kind, name, served) for name, models in everything.items() for served in models.values()]
        declared = [self._declared_names.get((row.provider_id, row.provider_resource_id), row) for row in rows]
        return [replace(known, identifier=row.identifier) for known, row in zip(declared, rows, strict=True)]

    async def register(self, wanted: Resource, may_see: MaySee = lambda _: True) -> Resource:
        """Store `wanted`, whose provider must serve it; the same content again changes nothing.

        A refusal names what else the provider serves, as far as the caller `may_see` it.

        Raises:
            InvalidRequest: its provider does not serve it, or the identifier means another resource.
            PermissionDenied: a target of it is not what the caller may see.
            ProviderUnavailable: its provider could not be asked; nothing is stored.
            Conflict: the identifier is taken with other content.
        """
        declared = self._declared.get(wanted.identifier)
        if declared is not None:
            if declared.content() != wanted.content():
                raise Conflict(f"`{wanted.identifier}` is declared in the run config with other content.")
            return declared
        self._check_identifier(wanted)
        await self._offered(wanted, may_see)
        for place in elsewhere(wanted):
            await self._check_target(place, may_see)
        resource = await self._store.create(wanted)
        self._unregistered.forget(f"{resource.provider_id}/{resource.provider_resource_id}", resource.identifier)
        return resource

    def _check_identifier(self, wanted: Resource) -> None:
        names = split_identifier(wanted.identifier, self.provider_ids)
        if names is not None and names != (wanted.provider_id, wanted.provider_resource_id):
            raise InvalidRequest(
                f"`{wanted.identifier}` already means `{names[1]}` of provider `{names[0]}`. Choose another id.",
                param=self.kind.id_field,
            )

    async def _check_served(self, wanted: Resource, may_see: MaySee) -> None:
        name = wanted.provider_resource_id
        served = await self._catalog.served(wanted.provider_id)
        if name not in served:
            served = await self._catalog.served(wanted.provider_id, fresh=True)
        if name not in served:
            rows = [listed(self.kind, wanted.provider_id, model) for model in served.values()]
            names = sorted(row.provider_resource_id for row in rows if may_see(row))
            shown = ", ".join(names[:NAMES_IN_A_MESSAGE]) or "nothing"
            more = f" and {len(names) - NAMES_IN_A_MESSAGE} more" if len(names) > NAMES_IN_A_MESSAGE else ""
            raise InvalidRequest(
                f"Provider `{wanted.provider_id}` does not serve `{name}`. It serves: {shown}{more}.",
                param=self.kind.provider_id_field,
            )

    async def _check_target(self, place: Resource, may_see: MaySee) -> None:
        """Naming a target takes what registering the model there would; `place` is the model as if it were."""
        meant = self.meant(place)
        if place.provider_id not in self.provider_ids:
            known = ", ".join(self.provider_ids)
            raise InvalidRequest(f"Target provider `{place.provider_id}` not found. Known: {known}.", param="metadata")
        if not may_see(meant):
            raise PermissionDenied(
                f"The access policy does not let you create `{place.identifier}` with target `{meant.identifier}`."
            )
        await self._offered(place, may_see)
        wanted, there = place.attributes["model_type"], await self._type_at(place)
        if there not in (None, wanted):
            raise InvalidRequest(
                f"Target `{meant.identifier}` is of model_type `{there}`, not `{wanted}`.", param="metadata"
            )

    async def _type_at(self, place: Resource) -> str | None:
        """What is known to be there; None where only a listing says the default, as those do that cannot tell."""
        names = (place.provider_id, place.provider_resource_id)
        known = self._declared_names.get(names) or await self._store.find(self.kind.name, *names)
        if known is not None:
            return str(known.attributes["model_type"])
        said = (await self._catalog.served(place.provider_id))[place.provider_resource_id]["model_type"]
        return None if said == self.kind.fields["model_type"] else said

    async def unregister(self, identifier: str, check: Check | None = None) -> None:
        """Remove a registered resource, unless `check` raises for it.

        Raises:
            NotFound: it is not registered (a listed one cannot be removed).
            Conflict: it is declared in the run config.
        """
        declared = self._declared.get(identifier)
        if declared is not None:
            if check is not None:
                check(declared)
            raise Conflict(f"`{identifier}` is declared in the run config; remove it there.")
        if not await self._store.delete(self.kind.name, identifier, check):
            raise self.unknown(identifier, "registered")

    def provider_of(self, body: dict[str, Any]) -> str:
        """The provider that a register body names, or the only one there is."""
        provider_id = body.get("provider_id")
        known = ", ".join(self.provider_ids) or "none"
        if provider_id is None and len(self.provider_ids) == 1:
            return self.provider_ids[0]
        if provider_id is None:
            raise InvalidRequest(
                f"No provider specified and multiple providers available. Please specify a provider_id: {known}.",
                param="provider_id",
            )
        if provider_id not in self.provider_ids:
            raise InvalidRequest(f"Provider `{provider_id}` not found. Known: {known}.", param="provider_id")
        return str(provider_id)

    def unknown(self, identifier: str, state: str = "known") -> NotFound:
        """The one failure for what is not there, and for what may not be seen."""
        name = self.kind.name.replace("_", " ")
        return NotFound(
            f"`{identifier}` is not a {state} {name}. GET {self.kind.path} lists what there is.",
            param=self.kind.id_field,
        )
