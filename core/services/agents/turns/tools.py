"""The tools of a turn: functions that the caller runs, and the tools of groups, whose `args` the model is not told.

A group's tool is called as a server's is in a response: its item is an `mcp_call` with the group as its server.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from core.apis.tools import GroupTool, Tool, ToolAccess, Tools
from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    ToolServerFailed,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    shorten,
)
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.platform.json_values import is_list, is_object
from core.services.agents.turns.printing import METADATA
from core.services.agents.turns.settings import UsedGroup
from core.services.agents.turns.steps import shown_name
from core.services.responses.contract import Item, RunTool, Step, StepDone, StepPhase, Steps, ToolCall
from core.services.responses.tools.functions import FunctionTool, name_in
from core.services.responses.tools.mcp_tools import call_item
from core.services.responses.tools.naming import name_tools
from core.services.responses.tools.results import (
    ENDS_RUN,
    cut,
    error_of,
    error_of_result,
    mask,
    read_arguments,
    tell_error,
    text_of_result,
)
from core.services.responses.tools.servers import MOST_SERVED

AT_ONCE: Final = 4  # groups that are asked for their tools at a time
UNREACHED: Final = (UpstreamFailed, UpstreamThrottled, ProviderUnavailable, UpstreamTimeout)
UNKNOWN: Final = "unknown"
MODES: Final = ("auto", "required", "none")
MOST_NAMED: Final = 20  # names of tools in a message
NO_RUNTIME: Final = (
    "this stack has no tools to run: its run config needs `tool_runtime` among its `apis`, and a provider of it."
)


@dataclass(frozen=True, slots=True)
class GroupRunTool:
    """`args` go before what the model writes; `secrets` are the caller's, and in nothing that is kept."""

    definition: JsonObject
    tools: Tools = field(repr=False)
    tool: GroupTool
    args: JsonObject = field(repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)
    hosted: bool = True
    counted: bool = True
    streams_arguments: bool = True

    def begin(self, call_id: str) -> Item | None:
        del call_id
        return call_item(self.tool.group, self.tool.tool.name)

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        began = item if item is not None else call_item(self.tool.group, self.tool.tool.name)
        yield StepPhase("in_progress")
        done = {**began, "arguments": call.arguments, **await self._invoke(call)}
        yield StepPhase("completed" if done["status"] == "completed" else "failed")
        yield StepDone(done, cut(tell_error(done["error"]) if done["error"] else done["output"]))

    async def _invoke(self, call: ToolCall) -> JsonObject:
        """`{status, output, error}` of a call. Raises what no tool is to blame for."""
        try:
            access = ToolAccess(key=call.key)
            result = await self.tools.call(self.tool, {**read_arguments(call.arguments), **self.args}, access)
        except ENDS_RUN:
            raise
        except ApiError as failure:
            return {"status": "failed", "output": None, "error": error_of(failure, self.secrets)}
        text = cut(mask(text_of_result(result), self.secrets))
        metadata = {METADATA: result.metadata} if result.metadata else {}
        if result.failed:
            return {"status": "failed", "output": None, "error": error_of_result(text), **metadata}
        return {"status": "completed", "output": text, "error": None, **metadata}


@dataclass(frozen=True, slots=True)
class UnknownTool:
    """What a model called, and nobody has."""

    definition: JsonObject
    message: str
    hosted: bool = True
    counted: bool = True
    streams_arguments: bool = True

    def begin(self, call_id: str) -> Item | None:
        del call_id
        return call_item(UNKNOWN, name_in(self.definition))

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        began = item if item is not None else call_item(UNKNOWN, name_in(self.definition))
        yield StepPhase("in_progress")
        yield StepPhase("failed")
        yield StepDone({**began, "arguments": call.arguments, "status": "failed", "error": self.message}, self.message)


@dataclass(frozen=True, slots=True)
class TurnTools:
    """Keeps `core.services.responses.contract.RunTools`: all is known before the run. `names` are what each is called by whoever chooses one."""

    tools: Sequence[RunTool]
    names: Sequence[frozenset[str]]

    @property
    def definitions(self) -> Sequence[JsonObject]:
        return [tool.definition for tool in self.tools]

    def find(self, name: str) -> RunTool | None:
        return next((tool for tool in self.tools if name_in(tool.definition) == name), None) or self._unknown(name)

    def choose(self, tool_choice: object) -> object:
        if tool_choice in MODES or tool_choice is None:
            if tool_choice == "required" and not self.tools:
                raise InvalidRequest(
                    "tool_choice: is `required`, and the agent has no tool that the model can call.",
                    param="tool_choice",
                )
            return tool_choice if self.tools else None
        for tool, names in zip(self.tools, self.names, strict=True):
            if tool_choice in names:
                return {"type": "function", "function": {"name": name_in(tool.definition)}}
        message = f"tool_choice: `{shorten(str(tool_choice), 64)}` is no tool of the agent. {self._advice()}"
        raise InvalidRequest(message, param="tool_choice")

    def prepare(self, context: Sequence[Item], done: Sequence[Item] = (), run_id: str = "") -> Steps:
        del context, done, run_id
        return _no_steps()

    def _unknown(self, name: str) -> RunTool:
        from core.services.responses.tools.naming import plain_name  # late: models mostly know their tools

        definition = {"type": "function", "function": {"name": plain_name(name)}}
        return UnknownTool(definition, f"There is no tool `{shorten(name, 64)}`. {self._advice()}")

    def _advice(self) -> str:
        names = ", ".join(f"`{name_in(tool.definition)}`" for tool in self.tools[:MOST_NAMED])
        return f"The tools: {names}." if names else "It has none."


async def find_tools(
    functions: Sequence[JsonObject], uses: Sequence[UsedGroup], tools: Tools | None, secrets: Sequence[str]
) -> TurnTools:
    """`functions` are those of the caller. Raises NotFound for a group or a tool that is not there, ToolServerFailed, InvalidRequest."""
    pairs: list[tuple[UsedGroup, GroupTool]] = []
    if uses and tools is None:
        raise InvalidRequest(f"{uses[0].path}: {NO_RUNTIME}", param=uses[0].path)
    if tools is not None:
        lists = await run_all([partial(_list, tools, use) for use in uses], at_once=AT_ONCE)
        pairs = _each_once([(use, tool) for use, some in zip(uses, lists, strict=True) for tool in some])
    own: list[RunTool] = [FunctionTool(definition) for definition in functions]
    names = name_tools([(tool.group, tool.tool.name) for _, tool in pairs], {name_in(f) for f in functions})
    groups: list[RunTool] = []
    for (use, tool), name in zip(pairs, names, strict=True):
        if tools is not None:
            groups.append(GroupRunTool(define(name, tool.tool, use.args), tools, tool, use.args, secrets))
    aliases = [frozenset({name_in(tool.definition)}) for tool in own]
    aliases += [
        frozenset({name, tool.tool.name, tool.full_name, shown_name(tool.group, tool.tool.name)})
        for (_, tool), name in zip(pairs, names, strict=True)
    ]
    return TurnTools([*own, *groups], aliases)


def define(name: str, tool: Tool, args: JsonObject) -> JsonObject:
    """The tool as a model is told it: without the parameters that `args` fill."""
    schema: dict[str, Any] = {**tool.input_schema, "type": "object"}
    if args and is_object(properties := schema.get("properties")):
        schema["properties"] = {key: value for key, value in properties.items() if key not in args}
    if args and is_list(required := schema.get("required")):
        schema["required"] = [key for key in required if key not in args]
    function: JsonObject = {"name": name, "parameters": schema}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


async def _list(tools: Tools, use: UsedGroup) -> Sequence[GroupTool]:
    try:
        return await tools.list_named(use.name)
    except NotFound as missing:
        raise NotFound(f"{use.path}: {missing.message}", param=use.path) from None
    except UNREACHED as failure:
        message = f"{use.path}: the tools of `{use.name}` could not be listed: {failure.message}"
        raise ToolServerFailed(message, param=use.path) from failure


def _each_once(tools: Sequence[tuple[UsedGroup, GroupTool]]) -> list[tuple[UsedGroup, GroupTool]]:
    """A tool that is named beside its group is the group's, with the args of both. Raises InvalidRequest for more than a model is told."""
    by_name: dict[str, tuple[UsedGroup, GroupTool]] = {}
    for use, tool in tools:
        before = by_name.get(tool.full_name)
        args = use.args if before is None else {**before[0].args, **use.args}
        by_name[tool.full_name] = (replace(use, args=args), tool)
    if len(by_name) > MOST_SERVED:
        message = f"toolgroups: they have {len(by_name):,} tools, and a model is told {MOST_SERVED:,} at most. Name tools, as `group/tool`."
        raise InvalidRequest(message, param="toolgroups")
    return [*by_name.values()]


async def _no_steps() -> AsyncGenerator[Step]:
    for step in list[Step]():
        yield step
