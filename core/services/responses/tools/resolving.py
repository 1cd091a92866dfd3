"""The tools of a request, resolved for one caller: `core.services.responses.contract.RunTools`. docs/adr/0083-tools-of-a-response.md."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from core.apis.responses import ResponseRequest
from core.apis.tools import Tools
from core.errors import InvalidRequest, shorten
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.platform.json_values import is_list, is_object
from core.services.responses.contract import Item, RunTool, Step, StepAdded, StepDone, StepPhase
from core.services.responses.output import make_key
from core.services.responses.tools.approvals import PATH, approved_calls
from core.services.responses.tools.choices import Choice, NamedTool, names_at, read_choice
from core.services.responses.tools.functions import name_in, read_custom, read_function
from core.services.responses.tools.mcp_tools import define_tool, make_tool, run_approved
from core.services.responses.tools.naming import free_name, name_tools, plain_name
from core.services.responses.tools.searches import (
    Search,
    define_file_search,
    define_web_search,
    find_file_search,
    find_web_search,
)
from core.services.responses.tools.servers import (
    MOST_SERVED,
    ServerTools,
    check_server,
    find_server,
    read_listing,
    too_many,
)
from core.services.responses.tools.shapes import (
    WEB_SEARCHES,
    FileSearchShape,
    McpShape,
    WebSearchShape,
    invalid,
    read_file_search,
    read_mcp,
    read_web_search,
)
from core.services.responses.tools.surfaces import ToolSurfaces

AT_ONCE: Final = 4  # servers that are asked for their tools at a time
SERVED: Final = ("function", "custom", "file_search", "web_search", "mcp")
MOST_KIND: Final = 30  # characters that are compared, in a time that grows with their square
MOST_ALIKE: Final = 0.85  # `tool_search`, which is OpenAI's, is like `file_search` by 0.7
NO_TOOLS: Final = "its run config needs `tool_runtime` among its `apis`, and a provider of it."
NO_STORES: Final = "its run config needs `vector_io` among its `apis`, and a provider of it."

type Found = Search | ServerTools


@dataclass(frozen=True, slots=True)
class Sought:
    """What is asked for before the first round, with the context; `outline` is what is known of its definitions without that.

    `check` raises what `find` does, without asking a server.
    """

    find: Callable[[Sequence[Item]], Awaitable[Found]]
    check: Callable[[], Awaitable[Found]]
    outline: Sequence[JsonObject]


def resolve_tools(request: ResponseRequest, surfaces: ToolSurfaces) -> "RequestTools":
    """Nothing is asked before `prepare`. Raises InvalidRequest for a tool that is none, or that this stack has nothing for."""
    tools = RequestTools(request.input, request.tool_choice, surfaces)
    for place, tool in enumerate(request.tools or ()):
        tools.read(tool, f"tools[{place}]")
    return tools


@dataclass(slots=True)
class RequestTools:
    """`new_items` and `tool_choice` are the request's. A type of tool that is not known is passed over: no model is told of it."""

    new_items: object
    tool_choice: object
    surfaces: ToolSurfaces
    _entries: list[NamedTool | Sought] = field(default_factory=list[NamedTool | Sought])
    _labels: set[str] = field(default_factory=set[str])
    _passed_over: list[str] = field(default_factory=list[str])
    _tools: list[NamedTool] = field(default_factory=list[NamedTool])
    _choice: Choice = field(default_factory=Choice)
    _is_prepared: bool = False

    def read(self, tool: JsonObject, path: str) -> None:
        """Add a tool of the request; raises InvalidRequest."""
        kind = tool.get("type")
        if kind == "function":
            self._add(NamedTool("function", str(tool.get("name")), read_function(tool, path)))
        elif kind == "custom":
            self._add(NamedTool("custom", str(tool.get("name")), read_custom(tool, path)))
        elif kind == "file_search":
            self._entries.append(self._seek_files(read_file_search(tool, path)))
        elif kind in WEB_SEARCHES and tool.get("external_web_access") is not False:  # nothing was fetched before
            self._entries.append(self._seek_web(read_web_search(tool, path)))
        elif kind == "mcp":
            self._entries.append(self._seek_server(read_mcp(tool, path, self.surfaces.secrets)))
        else:
            _check_spelling(str(kind), path)
            self._passed_over.append(str(kind))

    @property
    def definitions(self) -> Sequence[JsonObject]:
        if self._is_prepared or not any(isinstance(entry, Sought) for entry in self._entries):
            return [entry.tool.definition for entry in self._callable]
        outlines = [
            [entry.tool.definition] if isinstance(entry, NamedTool) else entry.outline for entry in self._entries
        ]
        return [definition for outline in outlines for definition in outline]

    def find(self, name: str) -> RunTool | None:
        return next((entry.tool for entry in self._callable if name_in(entry.tool.definition) == name), None)

    def choose(self, tool_choice: object) -> object:
        """Where the choice allows some tools alone, the others are there no more."""
        self._choice = read_choice(tool_choice, self._tools, self._passed_over)
        return self._choice.mode

    async def check(self) -> None:
        """Raise what `prepare` would for what the stack itself lacks, a vector store, a connector, a tool group, or for a choice among them. No server is asked."""
        sought = [entry.check for entry in self._entries if isinstance(entry, Sought)]
        tools = _name_all(self._entries, await run_all(sought, at_once=AT_ONCE))
        read_choice(self.tool_choice, tools, self._passed_over)

    async def prepare(
        self, context: Sequence[Item], done: Sequence[Item] = (), run_id: str = ""
    ) -> AsyncGenerator[Step]:
        context = [*context, *done] if done else context
        approved = approved_calls(self.new_items, context)
        sought = [entry for entry in self._entries if not isinstance(entry, NamedTool)]
        results = await run_all([partial(entry.find, context) for entry in sought], at_once=AT_ONCE)
        self._tools, self._is_prepared = _name_all(self._entries, results), True
        servers = {server.shape.label: server for server in results if isinstance(server, ServerTools)}
        self.choose(self.tool_choice)  # before anything is called: what is wrong with it is the request's
        calls = [(_server_of(request, servers), request) for request in approved]
        for server in servers.values():
            if server.is_new:
                yield StepAdded({**server.item, "tools": []})
                yield StepPhase("in_progress")
                yield StepPhase("completed")
                yield StepDone(server.item)
        for server, request in calls:
            async for step in run_approved(server, request, make_key(run_id, request["id"])):
                yield step

    @property
    def _callable(self) -> Sequence[NamedTool]:
        return self._tools if self._choice.only is None else self._choice.only

    def _add(self, tool: NamedTool) -> None:
        self._entries.append(tool)
        self._tools.append(tool)

    def _seek_files(self, shape: FileSearchShape) -> Sought:
        retrieval = self.surfaces.retrieval
        if retrieval is None:
            raise _lacking(shape.path, f"this stack has no vector stores: {NO_STORES}")
        find = partial(find_file_search, retrieval, shape, self.surfaces.vector_stores)
        return Sought(lambda _: find(), find, [define_file_search()])

    def _seek_web(self, shape: WebSearchShape) -> Sought:
        tools = self._runtime(shape.path)
        find = partial(find_web_search, tools, shape)
        return Sought(lambda _: find(), find, [define_web_search()])

    def _seek_server(self, shape: McpShape) -> Sought:
        if shape.label in self._labels:
            raise invalid(shape.path, "server_label", "is that of another tool too: give each server its own")
        self._labels.add(shape.label)
        tools = self._runtime(shape.path)
        items = [item for item in self.new_items if is_object(item)] if is_list(self.new_items) else []
        outline = [define_tool(plain_name(tool.name), shape, tool) for tool in read_listing(shape, items) or ()]
        check = partial(check_server, tools, shape, names_at(self.tool_choice, shape.label))
        return Sought(partial(find_server, tools, shape), check, outline)

    def _runtime(self, path: str) -> Tools:
        if self.surfaces.tools is None:
            raise _lacking(path, f"this stack has no tools to run: {NO_TOOLS}")
        return self.surfaces.tools


def _check_spelling(kind: str, path: str) -> None:
    """Raise InvalidRequest for what nobody means by a type of another tool, as `file-search`; a later version of one is that."""
    if kind.startswith(SERVED) or len(kind) > MOST_KIND:
        return
    from difflib import get_close_matches  # late: nearly all are spelt well

    if close := get_close_matches(kind.lower(), SERVED, 1, MOST_ALIKE):
        raise InvalidRequest(
            f"{path}.type: `{shorten(kind, 40)}` is no tool; did you mean `{close[0]}`?", param=f"{path}.type"
        )


def _lacking(path: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {problem}", param=f"{path}.type")


def _name_all(entries: Sequence[NamedTool | Sought], results: Sequence[Found]) -> list[NamedTool]:
    """The tools in the request's order: the caller's keep their names, searches come next, and tools of servers last."""
    names_in_use = {entry.name for entry in entries if isinstance(entry, NamedTool)}
    searches: dict[int, NamedTool] = {}
    for place, search in enumerate(results):
        if isinstance(search, Search):
            name = free_name(search.name, names_in_use)
            names_in_use.add(name)
            searches[place] = NamedTool(search.name, name, search.make(name))
    servers = [server for server in results if isinstance(server, ServerTools)]
    pairs = [(server.shape.label, tool.name) for server in servers for tool in server.tools]
    if len(pairs) > MOST_SERVED:
        raise too_many(len(pairs), "tools")
    names = iter(name_tools(pairs, names_in_use))
    tools: list[NamedTool] = []
    coming = enumerate(results)
    for entry in entries:
        if isinstance(entry, NamedTool):
            tools.append(entry)
            continue
        place, one = next(coming)
        if isinstance(one, Search):
            tools.append(searches[place])
        else:
            run_tools = [(tool, make_tool(next(names), one, tool)) for tool in one.tools]
            tools += [NamedTool("mcp", tool.name, run_tool, one.shape.label) for tool, run_tool in run_tools]
    return tools


def _server_of(request: Item, servers: dict[str, ServerTools]) -> ServerTools:
    label = request["server_label"]
    if label not in servers:
        raise InvalidRequest(
            f"The call that was approved is of the server `{shorten(label, 64)}`: send its `mcp` tool in `tools` again.",
            param=PATH,
        )
    return servers[label]
