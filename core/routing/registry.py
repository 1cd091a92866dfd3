"""The registry of one kind of resource: what is declared, listed by providers, and registered.

An identifier is looked up among the run config's declarations, then in the store. One that begins with a
provider's id, `provider_id/provider_resource_id`, is that provider's own name: it means what the run config and the
provider say of it, and nothing that anybody registers changes that. Declared resources live in the run config alone:
they are never written to the store, so that stacks which share a table do not leave each other stale entries.
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
from core.routing.policy import same_owner
from core.routing.stored import Place, Rows, StoredResources, place_of
from core.stores.registry.port import Author, Check, RegistryStore

NAMES_IN_A_MESSAGE: Final = 20
DECLARED, LISTED, REGISTERED = range(3)

type Rank = tuple[int, int, bytes]
NOTHING: Final[Rank] = (-1, 0, b"")
"""Before the first."""

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
        self._stored = StoredResources(kind, store, remember=remember, clock=clock)
        self._catalog = catalog
        self.declarations = {resource.identifier: resource for resource in declared}
        self._declarer = "the run config" if kind.built_in is None else "the run config or its provider"
        self._places = {identifier: place for place, identifier in enumerate(self.declarations)}
        self._declared_at = {place_of(row): row for row in reversed(declared)}
        self._served_at: dict[Place, list[Resource]] = {}
        for row in declared:
            for place in (row, *kind.list_alternates(row)):
                self._served_at.setdefault(place_of(place), []).append(row)
        self._offered: TtlCache[str, Resource] = TtlCache(remember, clock=clock)
        self._check = check

    async def get(self, identifier: str) -> Resource:
        """The resource that `identifier` names, in either form.

        Raises:
            NotFound: nothing declared, registered or listed has this identifier.
            ProviderUnavailable: only its provider could tell, and it is down.
        """
        resource = self.declarations.get(identifier) or self._offered.peek(identifier)
        if resource is None and (place := split_identifier(identifier, self.provider_ids)) is not None:
            resource = await self._get_by_provider_name(identifier, place)
        elif resource is None:
            resource = await self._stored.get(identifier)
        if resource is None:
            raise self.missing_error(identifier)
        return resource

    async def close(self) -> None:
        """End what is being read for more than one call: later calls that must read it raise ServerStopping."""
        await self._catalog.close()
        await self._stored.close()

    def declares(self, identifier: str) -> bool:
        """Whether the run config says what this means, in either form."""
        return identifier in self.declarations or split_identifier(identifier, self.provider_ids) in self._declared_at

    def fixes(self, identifier: str) -> bool:
        """Whether it means what it does whatever anybody registers: declared, or a provider's name of what that lists."""
        by_provider = self.kind.listing is not None and split_identifier(identifier, self.provider_ids) is not None
        return by_provider or self.declares(identifier)

    def other_names(self, resource: Resource) -> tuple[str, ...]:
        """What else means it, besides its identifier: the name within its provider, and those it is declared as."""
        if resource.identifier != resource.provider_name:
            return (resource.provider_name,)
        return self.declared_names(resource)

    def declared_names(self, resource: Resource) -> tuple[str, ...]:
        """What the run config declares as just its place; nothing more of what it declares itself."""
        place = place_of(resource)
        if resource.identifier in self.declarations or place not in self._declared_at:
            return ()
        return tuple(row.identifier for row in self.declared_at(*place) if place_of(row) == place)

    def declared_at(self, provider_id: str, provider_resource_id: str) -> Sequence[Resource]:
        """What the run config declares that is served there, in its order, perhaps beside other places."""
        return self._served_at.get((provider_id, provider_resource_id), ())

    async def registered_at(self, provider_id: str, provider_resource_id: str) -> Rows:
        """What was registered for this place, whoever did so, as old as `remember` allows."""
        return await self._stored.at((provider_id, provider_resource_id))

    async def _get_by_provider_name(self, identifier: str, place: Place) -> Resource | None:
        if (declared := self._declared_at.get(place)) is not None:
            # What is declared of it holds under this name too, which is the provider's and nobody's own.
            return replace(declared, identifier=identifier, owner=None)
        if self.kind.listing is None:
            stored = await self._stored.get(identifier)
            return stored if stored is not None and self._is_plain(stored) else None
        offer = (await self._catalog.offers(place[0])).get(place[1])
        if offer is None:
            return None
        resource = resource_of_offer(self.kind, place[0], offer)
        self._offered.put(identifier, resource)
        return resource

    def _is_plain(self, row: Resource) -> bool:
        """Whether it says nothing of what its identifier means but the provider's own name."""
        return row.identifier == row.provider_name and row.attributes == self.kind.fields

    async def page(self, *, after: str, limit: int, may_see: MaySee = lambda _: True) -> Page:
        """At most `limit` resources after the identifier `after`.

        Their order: what the run config declares, in its order; what each of its providers lists, by identifier; what was
        registered, by identifier. What is declared and the caller may not see is no place to begin at, which would tell of it.
        """
        rows = {resource.identifier: resource for resource in await self._offered_resources()} | self.declarations
        hidden = after in self.declarations and not may_see(self.declarations[after])
        floor = self._rank(after, is_declared=not hidden) if after else NOTHING
        stored = await self._stored.page(after if floor[0] == REGISTERED else "", limit + 1, self._has_own_name)
        rows |= {resource.identifier: resource for resource in stored}
        ranks = sorted((rank, name) for name in rows if (rank := self._rank(name)) > floor)
        return Page([rows[name] for _, name in islice(ranks, limit)], len(ranks) > limit)

    def _rank(self, identifier: str, *, is_declared: bool = True) -> Rank:
        """Told by the identifier alone, so that a page can begin after one that has gone."""
        if is_declared and identifier in self._places:
            return DECLARED, self._places[identifier], b""
        name = identifier.encode(errors="surrogatepass")
        if self.kind.listing is not None and (names := split_identifier(identifier, self.provider_ids)) is not None:
            return LISTED, self.provider_ids.index(names[0]), name
        return REGISTERED, 0, name

    def _has_own_name(self, row: Resource) -> bool:
        """Rows without one are of a time when there was no such provider or declaration, or when they could be stored."""
        if row.identifier in self.declarations:
            return False
        if split_identifier(row.identifier, self.provider_ids) is None:
            return True
        return self.kind.listing is None and self._is_plain(row)

    async def _offered_resources(self) -> list[Resource]:
        everything = await self._catalog.everything()
        rows = [
            resource_of_offer(self.kind, name, offer)
            for name, offers in everything.items()
            for offer in offers.values()
        ]
        declared = [self._declared_at.get(place_of(row), row) for row in rows]
        return [replace(best, identifier=row.identifier) for best, row in zip(declared, rows, strict=True)]

    async def register(self, resource: Resource, may_see: MaySee = lambda _: True, *, by: Author = None) -> Resource:
        """Store `resource`, which its provider must have, as the doing of `by`; the same content again changes nothing.

        A refusal names what else the provider has, as far as the caller `may_see` it.

        Raises:
            InvalidRequest: its provider does not have it, or the identifier means another resource.
            PermissionDenied: another place that it names is not what the caller may see.
            ProviderUnavailable: its provider could not be asked; nothing is stored.
            Conflict: the identifier is taken with other content.
        """
        declared = self.declarations.get(resource.identifier)
        if declared is not None:
            if declared.content() != resource.content():
                raise Conflict(f"`{resource.identifier}` is declared in {self._declarer} with other content.")
            return declared
        self._check_identifier(resource)
        await self._check_offer(resource, may_see)
        if resource.identifier == resource.provider_name:
            served = await self._settle_provider_name(resource)
            if served is not None:
                return served
        places = self.kind.list_alternates(resource)
        for place in places:
            await self._check_target(place, may_see)
        for place in (resource, *places) if self.kind.beside else ():
            await self._check_beside(resource, place)
        return await self._stored.create(resource, by)

    def _check_identifier(self, resource: Resource) -> None:
        names = split_identifier(resource.identifier, self.provider_ids)
        if names is not None and names != (resource.provider_id, resource.provider_resource_id):
            raise InvalidRequest(
                f"`{resource.identifier}` already means `{names[1]}` of provider `{names[0]}`. Choose another id.",
                param=self.kind.id_field,
            )

    async def _settle_provider_name(self, resource: Resource) -> Resource | None:
        """What its provider's own name of it means, whether or not it is registered; None where it must be.

        Raises Conflict for a body that says something else of it: that would change what the name means for others.
        """
        served = await self._get_by_provider_name(resource.identifier, place_of(resource))
        fixed = self.kind.fields if served is None else served.attributes
        for field, default in self.kind.fields.items():
            if resource.attributes[field] not in (default, fixed[field]):
                raise Conflict(
                    f"`{resource.identifier}` is the provider's own name: what it means, {field} included, is said by "
                    f"the provider and the run config. Choose another {self.kind.id_field}, or declare it there."
                )
        return served if self.kind.listing is not None or self.declares(resource.identifier) else None

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
        """What somebody else registered there is no concern of this one's owner, and must not show."""
        for other in await self._stored.read_at(place_of(place)):
            if other.identifier != resource.identifier and same_owner(other.owner, resource.owner):
                fault = self.kind.fault_beside(resource, other)
                if fault is not None:
                    raise InvalidRequest(fault, param="metadata")

    async def _attribute_at(self, place: Resource, field: str) -> object:
        """What is known of it there; None where only a listing says the default, as those do that cannot tell."""
        declared = self._declared_at.get(place_of(place))
        if declared is not None:
            return declared.attributes[field]
        offers = cast("Mapping[str, Mapping[str, object]]", await self._catalog.offers(place.provider_id))
        value = offers.get(place.provider_resource_id, {}).get(field)
        return None if value == self.kind.fields[field] else value

    async def unregister(self, identifier: str, check: Check | None = None, *, by: Author = None) -> None:
        """Remove a registered resource, as the doing of `by`, unless `check` raises for it.

        Raises:
            NotFound: it is not registered (a listed one cannot be removed).
            Conflict: it is declared in the run config.
        """
        declared = self.declarations.get(identifier)
        if declared is not None:
            if check is not None:
                check(declared)
            raise Conflict(f"`{identifier}` is declared in {self._declarer}; remove it there.")
        if not await self._stored.delete(identifier, check, by):
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
