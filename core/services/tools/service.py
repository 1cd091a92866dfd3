"""The tools of a stack for one caller: found by name, listed, and called once their arguments fit."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
import logging
from typing import Final, cast

from core.apis.tools import (
    NO_ACCESS,
    GroupTool,
    ReachesServers,
    ServerDescription,
    ServerPlace,
    ToolAccess,
    ToolGroup,
    ToolResult,
)
from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamTimeout,
    shorten,
)
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.platform.suggestions import did_you_mean
from core.services.tools.groups import Groups
from core.services.tools.listings import Listings, Source

AT_ONCE: Final = 8  # groups that are asked at a time
ALL_SECONDS: Final = 8.0  # after which no further one is: many that hang, which anybody may register, are as one
MOST_NAMED: Final = 20  # groups in a message
MOST_SHOWN: Final = 64  # bytes of a name in a message
MOST_COMPARED: Final = 1_000_000  # signs of a missing name times those of the names that it is compared with
WEB_SEARCH: Final = "web_search"  # what the tool is called at every search engine

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Answers:
    """The tools of several groups, in the order of these, and the groups that could not be asked."""

    tools: list[GroupTool] = field(default_factory=list[GroupTool])
    silent: list[str] = field(default_factory=list[str])


class ToolService:
    """The `Tools` that one caller gets: of every group that it may read, at whatever provider."""

    def __init__(self, groups: Groups, listings: Listings) -> None:
        self._groups = groups
        self._listings = listings

    async def groups(self) -> Sequence[str]:
        return [resource.identifier for resource in await self._groups.all()]

    async def list_group(
        self, group: str, access: ToolAccess = NO_ACCESS, *, fresh: bool = False
    ) -> Sequence[GroupTool]:
        resource = await self._groups.get(group)
        self._note(resource)
        return await self._list(self._source(resource, access), fresh=fresh)

    async def list_named(self, name: str) -> Sequence[GroupTool]:
        if (tool := await self._find_in(name, self._groups.declared_in(name))) is not None:
            return [tool]  # without a read of what is registered
        group, slash, bare = name.rpartition("/")
        try:
            return await self.list_group(name)
        except NotFound:
            if not slash:
                raise
        entries = await self.list_group(group)
        tools = [entry for entry in entries if entry.tool.name == bare]
        if not tools:
            names = ", ".join(f"`{entry.tool.name}`" for entry in entries[:MOST_NAMED]) or "none"
            message = f"Tool group `{group}` has no tool `{shorten(bare, MOST_SHOWN)}`. Its tools: {names}."
            raise NotFound(message, param="toolgroup_id")
        return tools

    async def list_all(self) -> Sequence[GroupTool]:
        first, rest = self._groups.in_turn(await self._groups.all())
        return (await self._list_those([*first, *rest])).tools

    async def find(self, name: str) -> GroupTool:
        if (tool := await self._find_in(name, self._groups.declared_in(name))) is not None:
            return tool  # without a read of what is registered
        others = Answers()
        for some in self._groups.in_turn(await self._groups.all()):  # neither form of a name is others' to take
            if (tool := await self._find_in(name, some)) is not None:
                return tool
            answers = await self._list_those(some)
            tools = [tool for tool in answers.tools if tool.tool.name == name]
            if len(tools) > 1:
                raise _ambiguous(name, tools)
            if tools:
                return tools[0]
            others.tools += answers.tools
            others.silent += answers.silent
        raise _missing(name, others)

    async def _find_in(self, name: str, groups: Sequence[Resource]) -> GroupTool | None:
        """By its full name, of which the longest group is meant that has such a tool."""
        in_name = [group for group in groups if name.startswith(f"{group.identifier}/")]
        for group in sorted(in_name, key=lambda group: -len(group.identifier)):
            for tool in await self._list(self._source(group, NO_ACCESS)):
                if tool.full_name == name:
                    return tool
        return None

    async def find_web_search(self) -> GroupTool:
        group = self._groups.declared_search() or await self._groups.find_search()
        tools = () if group is None else await self._list(self._source(group, NO_ACCESS))
        named = next((tool for tool in tools if tool.tool.name == WEB_SEARCH), None)
        if not tools:
            raise NotFound(
                "No tool group that you may use searches the web: the run config must have one, as `builtin::websearch`."
            )
        return named or tools[0]

    async def call(self, tool: GroupTool, arguments: JsonObject, access: ToolAccess = NO_ACCESS) -> ToolResult:
        resource = await self._groups.get(tool.group)
        self._note(resource)
        return await self._call(self._source(resource, access), tool, arguments)

    def place_of(self, url: str, label: str = "") -> ServerPlace:
        return self._groups.place_of(url, label)

    async def place_of_connector(self, connector_id: str) -> ServerPlace:
        return self._groups.place_of_connector(await self._groups.connector(connector_id))

    async def describe_unregistered(self, place: ServerPlace, access: ToolAccess) -> ServerDescription:
        """What a server says of itself."""
        source = self._source_at(place.provider_id, place.group, access)
        return await self._ask(cast("ReachesServers", source.provider).describe_server(place.group, access))

    async def call_unregistered(
        self, provider_id: str, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess = NO_ACCESS
    ) -> ToolResult:
        source = self._source_at(provider_id, group, access)
        entry = next((entry for entry in await self._list(source) if entry.tool.name == tool), None)
        if entry is None:
            raise NotFound(f"`{group.identifier}` has no tool `{tool}`.", param="tool_name")
        return await self._call(source, entry, arguments)

    async def list_unregistered(
        self, provider_id: str, group: ToolGroup, access: ToolAccess = NO_ACCESS
    ) -> Sequence[GroupTool]:
        return await self._list(self._source_at(provider_id, group, access))

    async def check_unregistered(self, provider_id: str, group: ToolGroup) -> None:
        await self._ask(self._source_at(provider_id, group, NO_ACCESS).provider.check_tool_group(group))

    def _source(self, resource: Resource, access: ToolAccess) -> Source:
        return self._source_at(resource.provider_id, self._groups.describe(resource), access)

    def _source_at(self, provider_id: str, group: ToolGroup, access: ToolAccess) -> Source:
        return Source(provider_id, self._groups.provider(provider_id, group.identifier), group, access)

    async def _list(self, source: Source, *, fresh: bool = False) -> Sequence[GroupTool]:
        self._groups.call.observed.provider = source.provider_id
        tools = await self._ask(self._listings.get(source, fresh=fresh))
        return [GroupTool(source.group.identifier, tool) for tool in tools]

    async def _list_those(self, groups: Sequence[Resource]) -> Answers:
        """What cannot be asked is noted in the log: one group's server is no reason to do without the others."""
        free, answers, loop = asyncio.Semaphore(AT_ONCE), Answers(), asyncio.get_running_loop()
        until = loop.time() + ALL_SECONDS

        async def attempt(resource: Resource) -> Sequence[GroupTool]:
            try:
                async with free:
                    if loop.time() >= until:
                        raise UpstreamTimeout("There was no time left to ask it.")
                    source = self._source(resource, NO_ACCESS)
                    tools = await self._ask(self._listings.get_lately(source))
            except ApiError as failure:
                facts = {"provider": resource.provider_id, "reason": failure.fault or failure.message}
                log.warning("tool group %s could not be asked for its tools", resource.identifier, extra=facts)
                answers.silent.append(resource.identifier)
                return ()
            return [GroupTool(resource.identifier, tool) for tool in tools]

        for tools in await asyncio.gather(*map(attempt, groups)):
            answers.tools += tools
        return answers

    async def _call(self, source: Source, tool: GroupTool, arguments: JsonObject) -> ToolResult:
        from core.services.tools.arguments import check_arguments

        name, group = tool.tool.name, source.group
        check_arguments(name, tool.tool.input_schema, arguments)
        self._groups.call.observed.provider = source.provider_id
        try:
            return await self._ask(source.provider.invoke_tool(group, name, arguments, source.access))
        except UpstreamFailed as refused:
            if refused.unauthorized:  # what these credentials were told once is not theirs any more
                self._forget(source)
            raise
        except NotFound as missing:
            if missing.param not in {None, "tool_name"}:  # of what the arguments name
                raise
            self._forget(source)
            message = f"Tool group `{group.identifier}` has no tool `{name}` any more. List its tools again."
            raise NotFound(message, param="tool_name") from None

    def _forget(self, source: Source) -> None:
        with self._groups.acting():
            self._listings.forget(source)

    async def _ask[T](self, coming: Awaitable[T]) -> T:
        with self._groups.call.observed.upstream, self._groups.acting():
            return await coming

    def _note(self, resource: Resource) -> None:
        """Which group a request is about, as metrics have a model: what requests alone name must not be their dimension."""
        observed = self._groups.call.observed
        observed.model, observed.provider_model = resource.identifier, resource.provider_resource_id


def _ambiguous(name: str, tools: Sequence[GroupTool]) -> InvalidRequest:
    names = ", ".join(f"`{tool.full_name}`" for tool in tools[:MOST_NAMED])
    return InvalidRequest(f"Several tool groups have a tool `{name}`: name one of {names}.", param="tool_name")


def _missing(name: str, others: Answers) -> ApiError:
    """With what it may have been meant to be, of the tools that the caller may use."""
    meant = did_you_mean(name, _comparable(name, others.tools)) or "."
    if not others.silent:
        return NotFound(f"There is no tool `{name}`{meant} GET /v1/tools lists what there is.", param="tool_name")
    groups = ", ".join(f"`{group}`" for group in others.silent[:MOST_NAMED])
    return ProviderUnavailable(
        f"There is no tool `{name}` in the tool groups that could be asked{meant} {groups} could not be asked, "
        "and may have it: try again."
    )


def _comparable(name: str, tools: Sequence[GroupTool]) -> Iterator[str]:
    """Names of these, as many as can be compared with `name` in a tenth of a second."""
    room = MOST_COMPARED // max(1, len(name))
    for known in chain.from_iterable((tool.tool.name, tool.full_name) for tool in tools):
        room -= len(known)
        if room < 0:
            return
        yield known
