"""The tools that one caller has over MCP: those of its groups, and a search of each vector store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
import logging
from typing import TYPE_CHECKING, Final

from core.apis.mcp import INVALID_PARAMS, RpcError
from core.apis.tools import GroupTool, Tool, ToolResult
from core.errors import ApiError, NotFound
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.platform.ttl_cache import TtlCache
from core.services.mcp.naming import full_name, is_full, may_be_of, names_of
from core.services.mcp.stores import StoreTools
from core.services.parts import Parts, surface_for

if TYPE_CHECKING:
    from core.apis.tools import Tools
    from core.apis.vector_io import NamedStore

AT_ONCE: Final = 8  # groups that are asked together
GROUP_SECONDS: Final = 8.0
"""How long a group may take for its list, so that the others are there within the time that a function has."""
ALL_SECONDS: Final = 12.0
"""After which no further group is asked: many that hang, which anybody may register, are as one."""
SILENT_SECONDS: Final = 15.0
"""How long a group is not asked again that could not tell its tools."""

log = logging.getLogger(__name__)

type Turns = Callable[[], Awaitable[tuple[Sequence[str], Sequence[str]]]]
"""The ids of the groups that the caller may use: the operator's and its own, and those of others."""
type Silent = TtlCache[tuple[str, str], bool]
"""Groups that could not be asked just now, by caller and group."""


def silent_groups() -> Silent:
    return TtlCache(SILENT_SECONDS, most=1000)


@dataclass(frozen=True, slots=True)
class Listing:
    """Tools by their names; `whole`: no group is missing that could not be asked."""

    tools: dict[str, Tool]
    whole: bool


@dataclass(frozen=True, slots=True)
class Catalog:
    """`silent` is the stack's."""

    parts: Parts
    call: Call | None
    turns: Turns
    silent: Silent

    async def list(self) -> Listing:
        """All of them, in the order of their names, which is the same everywhere."""
        first, rest = await self.turns()
        (tools, whole), searches = await asyncio.gather(self._ask([*first, *rest]), self._list_searches())
        names = names_of(tools, first, whole=whole)
        every = (searches or {}) | {name: tool.tool for name, tool in names.items()}
        return Listing(dict(sorted(every.items())), whole and searches is not None)

    async def find(self, name: str) -> "GroupTool | NamedStore":
        """What is called by this name, whichever environment has listed it.

        Raises RpcError where there is none that the caller may use, or where it could be another one's name just now.
        """
        first, rest = await self.turns()
        groups = [*first, *rest]
        if is_full(name):
            tools, _ = await self._ask([group for group in groups if may_be_of(name, group)])
            tool = next((tool for tool in tools if full_name(tool.group, tool.tool.name) == name), None)
            if tool is not None:
                return tool
        tools, whole = await self._ask(groups)
        tool = names_of(tools, first, whole=whole).get(name)
        if tool is not None:
            return tool
        store = await self._searches.find(name)
        if store is not None:
            return store
        raise _unknown(name, [tool for tool in tools if tool.tool.name == name], whole=whole)

    async def invoke(self, target: "GroupTool | NamedStore", arguments: JsonObject) -> ToolResult:
        """Raises what a tool's group, or a search, does."""
        if isinstance(target, GroupTool):
            return await self._tools.call(target, arguments)
        return await self._searches.search(target, arguments)

    @property
    def _searches(self) -> StoreTools:
        return StoreTools(self.parts, self.call)

    @property
    def _tools(self) -> "Tools":
        tools: Tools = surface_for(self.parts, "tools", self.call)
        return tools

    async def _ask(self, groups: Sequence[str]) -> tuple[Sequence[GroupTool], bool]:
        """The tools of those that can be asked, and whether that is all."""
        until = asyncio.get_running_loop().time() + ALL_SECONDS
        lists = await run_all([partial(self._list_group, group, until) for group in groups], at_once=AT_ONCE)
        return [tool for tools in lists if tools for tool in tools], None not in lists

    async def _list_searches(self) -> dict[str, Tool] | None:
        """None where the stores cannot be listed just now: the groups' tools are there all the same."""
        try:
            return await self._searches.list()
        except ApiError as failure:
            log.warning("mcp: the vector stores cannot be listed: %s", failure.message)
            return None

    async def _list_group(self, group: str, until: float) -> Sequence[GroupTool] | None:
        """None where it cannot be asked, or not before `until`, in the loop's time."""
        key = ("" if self.call is None else self.call.principal.identity, group)
        if self.silent.peek(key) or asyncio.get_running_loop().time() >= until:
            return None
        try:
            async with asyncio.timeout(GROUP_SECONDS):
                return await self._tools.list_group(group)
        except NotFound:  # it has gone since
            return ()
        except (ApiError, TimeoutError) as failure:
            self.silent.put(key, value=True)
            why = failure.message if isinstance(failure, ApiError) else f"it took longer than {GROUP_SECONDS:g} s"
            log.warning("mcp: the tools of group %r cannot be listed: %s", group, why)
            return None


def _unknown(name: str, namesakes: Sequence[GroupTool], *, whole: bool) -> RpcError:
    if namesakes:
        names = ", ".join(full_name(tool.group, tool.tool.name) for tool in namesakes)
        return RpcError(
            INVALID_PARAMS, f"`{name}` is not one tool's name here, or not surely: call it as one of: {names}."
        )
    silent = (
        ""
        if whole
        else " A tool group of yours could not be asked for its tools just now: try again if it is of that one."
    )
    return RpcError(INVALID_PARAMS, f"Unknown tool: {name}. Ask for tools/list again.{silent}")
