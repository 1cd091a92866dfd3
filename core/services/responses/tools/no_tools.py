"""The tools of a request that has none: what most responses begin with, without the import of what tools need."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list
from core.services.responses.contract import Item, Step

FREE: Final = (None, "auto", "none")
"""A `tool_choice` that is right without tools."""


class NoTools:
    """Keeps `core.services.responses.contract.RunTools`."""

    definitions: Sequence[JsonObject] = ()

    async def prepare(
        self, context: Sequence[Item], done: Sequence[Item] = (), run_id: str = ""
    ) -> AsyncGenerator[Step]:
        """Nothing: no step is ever given."""
        del context, done, run_id
        for step in list[Step]():
            yield step

    def find(self, name: str) -> None:
        """There is none of any name."""

    def choose(self, tool_choice: object) -> None:
        """Chat servers refuse a choice without tools."""


def needs_tools(request: ResponseRequest) -> bool:
    """Whether it has a tool, chooses one, or answers a request for approval: the rest runs with NoTools."""
    if request.tools or request.tool_choice not in FREE:
        return True
    items = request.input if is_list(request.input) else ()
    return any(item.get("type") == "mcp_approval_response" for item in items)
