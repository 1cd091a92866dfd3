"""A stack of two kinds of groups and no server: what the MCP service asks of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from core.apis.mcp import read_message
from core.apis.retrieval import Passage, RetrievalQuery
from core.apis.tools import NO_ACCESS, GroupTool, Tool, ToolAccess, ToolResult
from core.apis.vector_io import NamedStore
from core.errors import ApiError, NotFound
from core.frame.callers import Call, Principal
from core.frame.content import Answer, Message
from core.frame.types import JsonObject
from core.services.mcp.catalog import silent_groups
from core.services.mcp.eras import STATELESS
from core.services.mcp.router import McpRouter
from core.services.parts import Parts

PREFIX = "io.modelcontextprotocol/"
META: JsonObject = {f"{PREFIX}protocolVersion": STATELESS, f"{PREFIX}clientCapabilities": {}}


@dataclass
class MemoryTools:
    """Groups with their tools; `down` raise, `result` is what every call answers, or raises."""

    group_tools: dict[str, list[Tool]]
    down: dict[str, ApiError] = field(default_factory=dict[str, ApiError])
    result: ToolResult | Exception = field(default_factory=lambda: ToolResult("done"))
    calls: list[tuple[str, JsonObject]] = field(default_factory=list[tuple[str, JsonObject]])
    asked: list[str] = field(default_factory=list[str])

    async def list_group(
        self, group: str, access: ToolAccess = NO_ACCESS, *, fresh: bool = False
    ) -> Sequence[GroupTool]:
        del access, fresh
        self.asked.append(group)
        if group in self.down:
            raise self.down[group]
        return [GroupTool(group, tool) for tool in self.group_tools[group]]

    async def call(self, tool: GroupTool, arguments: JsonObject, access: ToolAccess = NO_ACCESS) -> ToolResult:
        del access
        self.calls.append((tool.full_name, arguments))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@dataclass
class MemoryStores:
    """Vector stores that find their own name."""

    stores: list[NamedStore]
    searches: list[RetrievalQuery] = field(default_factory=list[RetrievalQuery])
    down: ApiError | None = None

    async def list_names(self, *, limit: int) -> Sequence[NamedStore]:
        if self.down is not None:
            raise self.down
        return self.stores[:limit]

    async def find_name(self, vector_store_id: str) -> NamedStore:
        for store in self.stores:
            if store.id == vector_store_id:
                return store
        raise NotFound("no")

    async def retrieve(self, query: RetrievalQuery) -> Sequence[Passage]:
        self.searches.append(query)
        (store_id,) = query.store_ids
        return [Passage(1, f"about {store_id}", 0.5, store_id, "file-1", "a.txt", {"year": 2026.0})]


@dataclass
class Stack:
    tools: MemoryTools
    stores: MemoryStores | None = None
    first: Sequence[str] = ()
    issuers: Sequence[str] = ()
    call: Call = field(default_factory=lambda: Call(Principal("ada", {})))

    def __post_init__(self) -> None:
        self.silent = silent_groups()

    @property
    def router(self) -> McpRouter:
        surfaces: dict[str, Any] = {"tools": lambda _: self.tools}
        if self.stores is not None:
            surfaces |= {"vector_io": lambda _: self.stores, "retrieval": lambda _: self.stores}
        parts = SimpleNamespace(surfaces=surfaces, issuers=self.issuers)
        return McpRouter(cast("Parts", parts), self.call, self.turns, self.silent)

    async def turns(self) -> tuple[Sequence[str], Sequence[str]]:
        groups = self.tools.group_tools
        return [name for name in groups if name in self.first], [name for name in groups if name not in self.first]

    async def send(self, content: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        values = {name: (value,) for name, value in (headers or {}).items()}
        return await self.router.answer_mcp(read_message(Message(content, values)))


def tool(name: str, **fields: Any) -> Tool:
    return Tool(name, f"It is {name}.", **fields)
