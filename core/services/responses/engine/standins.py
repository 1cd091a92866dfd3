"""Tools that take the place of what a model called and may not, or cannot: what it is told, and what the output shows of it. Pure."""

from collections.abc import Sequence
from typing import Final

from core.frame.types import JsonObject
from core.services.responses.contract import Item, RunTool, StepDone, StepPhase, Steps, ToolCall
from core.services.responses.engine.pieces import broken_item

UNKNOWN_SERVER: Final = "unknown"
UNKNOWN: Final = "There is no tool `{name}`. {advice}"
TOOLS: Final = "Call one of: {names}."
NO_TOOLS: Final = "Answer without tools."
OVER: Final = "It was not run: no more than {most} tool calls are run in this response. Answer with what is known."


class StandIn:
    """Runs nothing. The item is a failed `mcp_call`, which every client knows for a call that is not its own."""

    def __init__(self, name: str, message: str) -> None:
        self._name = name
        self._message = message

    @property
    def hosted(self) -> bool:
        return True

    @property
    def counted(self) -> bool:
        return False

    @property
    def streams_arguments(self) -> bool:
        return False

    @property
    def definition(self) -> JsonObject:
        return {"type": "function", "function": {"name": self._name}}

    def begin(self, call_id: str) -> Item | None:
        del call_id
        return None

    async def run(self, call: ToolCall, item: Item | None) -> Steps:
        """A begun `item`, of the tool whose place this takes, is shown as it is: nothing more came of it."""
        if item is None:
            item = {
                "type": "mcp_call",
                "id": "",
                "server_label": UNKNOWN_SERVER,
                "name": call.name,
                "arguments": call.arguments,
                "output": None,
                "error": self._message,
                "status": "failed",
            }
        else:
            item = broken_item(item, call.arguments)
            if "error" in item:
                item["error"] = self._message
        yield StepPhase("failed")
        yield StepDone(item, self._message)


def unknown_tool(name: str, definitions: Sequence[JsonObject]) -> RunTool:
    from core.services.responses.tools.naming import plain_name  # late: models mostly know their tools

    names = ", ".join(f"`{definition['function']['name']}`" for definition in definitions)
    return StandIn(
        plain_name(name), UNKNOWN.format(name=name[:64], advice=TOOLS.format(names=names) if names else NO_TOOLS)
    )


def over_limit(name: str, most: int) -> RunTool:
    return StandIn(name, OVER.format(most=most))
