"""The tool groups that one caller may use, and the providers that serve them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from core.apis.inference import TakesProviderData
from core.apis.tool_runtime import group_of
from core.apis.tools import ServerPlace, ToolGroup, ToolProvider
from core.config.policy import parse_condition
from core.errors import InvalidRequest, NotFound, ProviderUnavailable
from core.frame.callers import ANONYMOUS, ActingFor, Call, principal_of
from core.frame.resources import Resource
from core.routing.guard import PAGE_SIZE, Guard, GuardedRegistry

if TYPE_CHECKING:
    from core.services.parts import Parts

API: Final = "tool_runtime"
KIND: Final = "tool_group"
CONNECTOR: Final = "connector"
WEB_SEARCH: Final = "builtin::websearch"  # the reference's group of a search engine


class Groups:
    """For one call; None is the stack itself."""

    def __init__(self, parts: "Parts", call: Call | None) -> None:
        self._parts = parts
        self._registry: GuardedRegistry = parts.registries[KIND](call)
        self._connectors = parts.registries[CONNECTOR](call).declarations
        self._guard = Guard(parts.enforcement, principal_of(call))
        self._caller = call
        self.call = call or Call(ANONYMOUS)

    async def get(self, identifier: str) -> Resource:
        """Raises NotFound, also for one that the caller may not see."""
        return await self._registry.get(identifier)

    async def all(self) -> Sequence[Resource]:
        """Those that the caller may use: declared ones first, in the run config's order."""
        groups, more, after = list[Resource](), True, ""
        while more:
            page = await self._registry.page(after=after, limit=PAGE_SIZE)
            groups += page.resources
            more, after = page.has_more, page.resources[-1].identifier if page.resources else after
        return groups

    def declared_in(self, name: str) -> Sequence[Resource]:
        """Those of the run config with which a full name may begin, as far as the caller may use them."""
        return self._registry.readable(group for group in self._registry.declarations if name.startswith(f"{group}/"))

    def declared_search(self) -> Resource | None:
        """The run config's `builtin::websearch`, whoever provides it, where the caller may use it."""
        groups = self._registry.readable(group for group in self._registry.declarations if group == WEB_SEARCH)
        return next(iter(groups), None)

    async def find_search(self) -> Resource | None:
        """The first group, in turn, at a provider that searches the web: no other may be given what people look for."""
        providers = self._parts.providers(API)
        able = {name for name, provider in providers.items() if getattr(provider, "searches_web", False) is True}
        if not able:
            return None
        first, rest = self.in_turn(await self.all())
        return next((group for group in (*first, *rest) if group.provider_id in able), None)

    def describe(self, resource: Resource) -> ToolGroup:
        """As its provider sees it: what the run config declares is the operator's word."""
        return group_of(resource, trusted=self._registry.declares(resource.identifier))

    def in_turn(self, groups: Sequence[Resource]) -> tuple[Sequence[Resource], Sequence[Resource]]:
        """Where a bare name is looked for first, and then: what others register must not change what one means."""
        first = [group for group in groups if self._comes_first(group)]
        return first, [group for group in groups if group not in first]

    def _comes_first(self, resource: Resource) -> bool:
        if self._registry.declares(resource.identifier) or self.call.principal.anonymous:
            return True
        return self._registry.holds(parse_condition("user is owner"), self.call.principal, resource.owner)

    def provider(self, provider_id: str, group: str) -> ToolProvider:
        """With what the caller brings for it; raises ProviderUnavailable where this stack does not configure it."""
        provider = cast("ToolProvider | None", self._parts.providers(API).get(provider_id))
        if provider is None:
            raise ProviderUnavailable(
                f"Tool group `{group}` belongs to provider `{provider_id}`, which this stack does not configure."
            )
        if self.call.provider_data and isinstance(provider, TakesProviderData):
            with ActingFor(self._caller):
                return cast("ToolProvider", provider.with_provider_data(self.call.provider_data))
        return provider

    async def connector(self, identifier: str) -> Resource:
        """Raises NotFound, also for one that the caller may not see. The store has none of them, and is not asked."""
        asked_at = self._guard.now()
        connector = self._connectors.get(identifier)
        if connector is None or not self._guard.allows("read", connector):
            await self._guard.pause(asked_at)
            message = f"There is no connector `{identifier}`. GET /v1beta/connectors lists what there is."
            raise NotFound(message, param="connector_id")
        return connector

    def connectors(self) -> Sequence[Resource]:
        """Those that the caller may see, in the run config's order."""
        return [connector for connector in self._connectors.values() if self._guard.allows("read", connector)]

    def place_of_connector(self, connector: Resource) -> ServerPlace:
        """Its server, at its own provider where that reaches servers: without a provider of its own it has the first."""
        able, name = self._servers(), connector.identifier
        provider_id = connector.provider_id if connector.provider_id in able else self._only(able)
        return ServerPlace(provider_id, ToolGroup(name, name, connector.attributes["url"], {}, trusted=True))

    def place_of(self, url: str, label: str = "") -> ServerPlace:
        """A server that a request names."""
        return ServerPlace(self._only(self._servers()), ToolGroup(label or url, label or url, url))

    def _servers(self) -> Sequence[str]:
        """The providers that reach any server."""
        providers = self._parts.providers(API).items()
        return [name for name, provider in providers if getattr(provider, "describe_server", None) is not None]

    def _only(self, able: Sequence[str]) -> str:
        if len(able) == 1:
            return able[0]
        raise InvalidRequest(
            f"Several providers reach servers of tools: register a tool group with one of {', '.join(able)}."
            if able
            else "No provider of this stack reaches servers of tools: add one of remote::model-context-protocol."
        )

    def acting(self) -> ActingFor:
        """Its code runs for the caller."""
        return ActingFor(self._caller)
