"""How many tools of servers a request may have: each of them is named apart from all others, while everybody waits."""

from typing import Any

import pytest

from core.apis.tools import ServerPlace, Tool, ToolGroup
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.responses.tools.resolving import resolve_tools
from core.services.responses.tools.servers import MOST_SERVED, read_listing
from core.services.responses.tools.shapes import read_mcp
from core.services.responses.tools.surfaces import ToolSurfaces
from tests.parts.response_tools import request_of


def server(label: str) -> JsonObject:
    return {"type": "mcp", "server_label": label, "server_url": f"https://{label}.example/mcp"}


def listing(label: str, *names: str) -> JsonObject:
    return {"type": "mcp_list_tools", "server_label": label, "tools": [{"name": name} for name in names]}


class Runtime:
    """Knows places, and is asked for nothing."""

    def place_of(self, url: str, label: str) -> ServerPlace:
        return ServerPlace("mcp", ToolGroup(label, "mcp", url))


def test_a_list_of_tools_that_was_sent_is_no_longer_than_a_servers_own() -> None:
    shape = read_mcp(server("s"), "p")
    twice = read_listing(shape, [listing("s", *["a"] * MOST_SERVED)])
    assert twice == [Tool("a", "", {"type": "object", "properties": {}})]
    assert read_listing(shape, [listing("s", *map(str, range(MOST_SERVED + 1)))]) is None


async def test_servers_together_have_no_more_than_one_may() -> None:
    runtime: Any = Runtime()
    tools = resolve_tools(request_of(server("s"), server("t")), ToolSurfaces(tools=runtime))
    names = [f"tool{number}" for number in range(MOST_SERVED // 2 + 1)]
    with pytest.raises(InvalidRequest, match="1,002 tools, and a model is told 1,000 at most"):
        [_ async for _ in tools.prepare([listing("s", *names), listing("t", *names)])]
