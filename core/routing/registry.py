"""The registry of one kind of resource: what is declared, listed by providers, and registered.

An identifier is looked up among the run config's declarations, then in the store, then, as
`provider_id/provider_resource_id`, in what that provider lists. Declared resources live in the
run config alone: they are never written to the store, so that stacks which share a table do not
leave each other stale entries.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
import time
from typing import Any, Final, cast

from core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from core.frame.resources import Kind, Offer, Resource
from core.platform.ttl_cache import TtlCache
from core.routing.catalog import Catalog
from core.stores.registry.port import Check, RegistryStore

NAMES_IN_A_MESSAGE: Final = 20

type MaySee = Callable[[Resource], bool]
type CheckOffer = Callable[[Resource], Awaitable[None]]
"""Raises InvalidRequest for a resource that its provider cannot serve."""


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


def resource_of_offer(kind: Kind, provider_id: str, offer: Offer) -> Resource:
    """A resource that nobody registered, as its provider describes it."""
    facts = cast("Mapping[str, Any]", offer)
    attributes = {name: facts.get(name, default) for name, default in kind.fields.items()}
    name = offer["id"]
    return Resource(kind.name, f"{provider_id}/{name}", provider_id, name, attributes, offer.get("created", 0))


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
        check: CheckOffer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read before the first call. Of a kind with a listing, what the `catalog` has can be registered."""
        self.kind = kind
        self.provider_ids = tuple(provider_ids)
        self._store = store
        self._catalog = catalog
        self._declared = {resource.identifier: resource for resource in declared}
        self._declared_at = {(row.provider_id, row.provider_resource_id): row for row in reversed(declared)}
        self._served_at: dict[tuple[str, str], list[Resource]] = {}
        for row in declared:
            for place in (row, *kind.list_alternates(row)):
                self._served_at.setdefault((place.provider_id, place.provider_resource_id), []).append(row)
        self._unregistered: TtlCache[str, Resource] = TtlCache(remember, clock=clock)
        self._check = check

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
        resource = await self._store.get(self.kind.name, identifier) or await self._get_by_provider_name(identifier)
        if resource is None:
            raise self.missing_error(identifier)
        return resource

    def other_names(self, resource: Resource) -> tuple[str, ...]:
        """What else means it, besides its identifier: the name within its provider, and the one it is declared as."""
        if resource.identifier != resource.provider_name:
            return (resource.provider_name,)
        declared = self._declared_at.get((resource.provider_id, resource.provider_resource_id))
        return (declared.identifier,) if declared is not None else ()

    def declared_at(self, provider_id: str, provider_resource_id: str) -> Sequence[Resource]:
        """What the run config declares that is served there, in its order, perhaps beside other places."""
        return self._served_at.get((provider_id, provider_resource_id), ())

    async def _get_by_provider_name(self, identifier: str) -> Resource | None:
        names = split_identifier(identifier, self.provider_ids)
        if names is None:
            return None
        provider_id, name = names
        if (registered := await self._find_registered(provider_id, name)) is not None:
            # What is registered of it holds under this name too, which is the provider's and nobody's own.
            return replace(registered, identifier=identifier, owner=None)
        offer = (await self._catalog.offers(provider_id)).get(name)
        if offer is None:
            return None
        resource = resource_of_offer(self.kind, provider_id, offer)
        self._unregistered.put(identifier, resource)
        return resource

    async def _find_registered(self, provider_id: str, name: str) -> Resource | None:
        """What is declared, or else in the store, for a provider's own name."""
        declared = self._declared_at.get((provider_id, name))
        return declared or await self._store.find(self.kind.name, provider_id, name)

    async def page(self, *, after: str, limit: int) -> Page:
        """At most `limit` resources after the identifier `after`, in UTF-8 byte order of identifiers."""
        rows = {resource.identifier: resource for resource in await self._offered_resources()} | self._declared
        stored = await self._store.page(self.kind.name, after=after, limit=limit + 1)
        rows |= {resource.identifier: resource for resource in stored if resource.identifier not in self._declared}
        floor = after.encode()
        rest = sorted((r for r in rows.values() if r.identifier.encode() > floor), key=lambda r: r.identifier.encode())
        return Page(list(islice(rest, limit)), len(rest) > limit)

    async def _offered_resources(self) -> list[Resource]:
        everything = await self._catalog.everything()
        rows = [
            resource_of_offer(self.kind, name, offer)
            for name, offers in everything.items()
            for offer in offers.values()
        ]
        declared = [self._declared_at.get((row.provider_id, row.provider_resource_id), row) for row in rows]
        return [replace(best, identifier=row.identifier) for best, row in zip(declared, rows, strict=True)]

    async def register(self, resource: Resource, may_see: MaySee = lambda _: True) -> Resource:
        """Store `resource`, which its provider must have; the same content again changes nothing.

        A refusal names what else the provider has, as far as the caller `may_see` it.

        Raises:
            InvalidRequest: its provider does not have it, or the identifier means another resource.
            PermissionDenied: another place that it names is not what the caller may see.
            ProviderUnavailable: its provider could not be asked; nothing is stored.
            Conflict: the identifier is taken with other content.
        """
        declared = self._declared.get(resource.identifier)
        if declared is not None:
            if declared.content() != resource.content():
                raise Conflict(f"`{resource.identifier}` is declared in the run config with other content.")
            return declared
        self._check_identifier(resource)
        await self._check_offer(resource, may_see)
        places = self.kind.list_alternates(resource)
        for place in places:
            await self._check_target(place, may_see)
        for place in (resource, *places) if self.kind.beside else ():
            await self._check_beside(resource, place)
        stored = await self._store.create(resource)
        self._unregistered.forget(stored.provider_name, stored.identifier)
        return stored

    def _check_identifier(self, resource: Resource) -> None:
        names = split_identifier(resource.identifier, self.provider_ids)
        if names is not None and names != (resource.provider_id, resource.provider_resource_id):
            raise InvalidRequest(
                f"`{resource.identifier}` already means `{names[1]}` of provider `{names[0]}`. Choose another id.",
                param=self.kind.id_field,
            )

    async def _check_offer(self, resource: Resource, may_see: MaySee) -> None:
        if self._check is not None:
            await self._check(resource)
        if self.kind.listing is None:
            return
        name = resource.provider_resource_id
        offers = await self._catalog.offers(resource.provider_id)
        if name not in offers:
            offers = await self._catalog.offers(resource.provider_id, fresh=True)
        if name not in offers:
            rows = [resource_of_offer(self.kind, resource.provider_id, offer) for offer in offers.values()]
            names = sorted(row.provider_resource_id for row in rows if may_see(row))
            examples = ", ".join(names[:NAMES_IN_A_MESSAGE]) or "nothing"
            more = f" and {len(names) - NAMES_IN_A_MESSAGE} more" if len(names) > NAMES_IN_A_MESSAGE else ""
            raise InvalidRequest(
                f"Provider `{resource.provider_id}` does not serve `{name}`. It serves: {examples}{more}.",
                param=self.kind.provider_id_field,
            )

    async def _check_target(self, place: Resource, may_see: MaySee) -> None:
        """Naming a target takes what registering the resource there would; `place` is the resource as if it were."""
        target = at_provider(place)
        if place.provider_id not in self.provider_ids:
            choices = ", ".join(self.provider_ids)
            raise InvalidRequest(
                f"Target provider `{place.provider_id}` not found. Known: {choices}.", param="metadata"
            )
        if not may_see(target):
            raise PermissionDenied(
                f"The access policy does not let you create `{place.identifier}` with target `{target.identifier}`."
            )
        await self._check_offer(place, may_see)
        for field in self.kind.alike:
            value = await self._attribute_at(place, field)
            if value not in (None, place.attributes[field]):
                raise InvalidRequest(
                    f"Target `{target.identifier}` is of {field} `{value}`, not `{place.attributes[field]}`.",
                    param="metadata",
                )

    async def _check_beside(self, resource: Resource, place: Resource) -> None:
        other = await self._store.find(self.kind.name, place.provider_id, place.provider_resource_id)
        fault = (
            None
            if other is None or other.identifier == resource.identifier
            else self.kind.fault_beside(resource, other)
        )
        if fault is not None:
            raise InvalidRequest(fault, param="metadata")

    async def _attribute_at(self, place: Resource, field: str) -> object:
        """What is known of it there; None where only a listing says the default, as those do that cannot tell."""
        registered = await self._find_registered(place.provider_id, place.provider_resource_id)
        if registered is not None:
            return registered.attributes[field]
        offers = cast("Mapping[str, Mapping[str, object]]", await self._catalog.offers(place.provider_id))
        value = offers.get(place.provider_resource_id, {}).get(field)
        return None if value == self.kind.fields[field] else value

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
            raise self.missing_error(identifier, "registered")

    def provider_of(self, body: dict[str, Any]) -> str:
        """The provider that a register body names, or the only one there is."""
        provider_id = body.get("provider_id")
        choices = ", ".join(self.provider_ids) or "none"
        if provider_id is None and len(self.provider_ids) == 1:
            return self.provider_ids[0]
        if provider_id is None:
            raise InvalidRequest(
                f"No provider specified and multiple providers available. Please specify a provider_id: {choices}.",
                param="provider_id",
            )
        if provider_id not in self.provider_ids:
            raise InvalidRequest(f"Provider `{provider_id}` not found. Known: {choices}.", param="provider_id")
        return str(provider_id)

    def missing_error(self, identifier: str, state: str = "known") -> NotFound:
        """The one failure for what is not there, and for what may not be seen."""
        name = self.kind.name.replace("_", " ")
        return NotFound(
            f"`{identifier}` is not a {state} {name}. GET {self.kind.path} lists what there is.",
            param=self.kind.id_field,
        )


def at_provider(resource: Resource) -> Resource:
    """What `resource` stands for, under the name that it has within its provider, where it is nobody's own."""
    return replace(resource, identifier=resource.provider_name, owner=None)
