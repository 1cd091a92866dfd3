"""The tools of a response over a real stack, without an engine: what a request has, and what their steps come to."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
import json
from typing import Any

from core.apis.responses import ResponseRequest
from core.config.load import interpret
from core.frame.callers import ANONYMOUS, Call, Principal
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.services.responses.contract import Item, RunTools, Step, StepDone, Steps, ToolCall
from core.services.responses.tools.resolving import resolve_tools
from core.services.responses.tools.surfaces import ToolSurfaces, surfaces_of


def request_of(*tools: dict[str, Any], **more: Any) -> ResponseRequest:
    return ResponseRequest.model_construct(model="m", tools=list(tools), **more)


def surfaces_for(stack: Stack, principal: Principal = ANONYMOUS) -> ToolSurfaces:
    return surfaces_of(stack, Call(principal))


@asynccontextmanager
async def tools_of(document: dict[str, Any], *apis: str) -> AsyncGenerator[ToolSurfaces]:
    """The surfaces of a stack that is made for the length of a `with` block."""
    stack = await resolve(interpret(document, {}), list(apis or ("tool_runtime",)), version="1")
    try:
        yield surfaces_for(stack)
    finally:
        await stack.close()


async def prepared(
    surfaces: ToolSurfaces, *tools: dict[str, Any], context: Sequence[Item] = (), **more: Any
) -> tuple[RunTools, list[Step]]:
    """Resolved, with the steps before the first round."""
    made = resolve_tools(request_of(*tools, **more), surfaces)
    return made, await steps_of(made.prepare(context))


async def called(tools: RunTools, name: str, arguments: object) -> tuple[list[Step], StepDone]:
    """The steps of a call that a model makes, and the last of them; each ends with one StepDone and has no other."""
    tool = tools.find(name)
    assert tool is not None, name
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    steps = await steps_of(tool.run(ToolCall("call_1", name, text), tool.begin("call_1")))
    *before, done = steps
    assert isinstance(done, StepDone)
    assert not any(isinstance(step, StepDone) for step in before)
    return before, done


async def steps_of(steps: Steps) -> list[Step]:
    async with aclosing(steps) as source:
        return [step async for step in source]


def names_of(tools: RunTools) -> list[str]:
    return [definition["function"]["name"] for definition in tools.definitions]
