"""How long what a group lists is remembered, whatever its server says."""

from dataclasses import dataclass, field

import pytest

from core.apis.tools import NO_ACCESS, Tool, ToolAccess, ToolGroup, ToolListing, ToolResult
from core.frame.types import Health, JsonObject
from core.services.tools.listings import DEFAULT_SECONDS, MOST_SECONDS, Listings, Source


@dataclass
class Provider:
    """Lists one tool, which has the number of the list for a name."""

    seconds: float | None
    lists: int = field(default=0)

    async def check_tool_group(self, group: ToolGroup) -> None:
        del group

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        del group, access
        return ""

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        del group, access
        self.lists += 1
        return ToolListing([Tool(str(self.lists))], self.seconds)

    async def invoke_tool(self, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        del group, tool, arguments, access
        return ToolResult("")

    async def health(self) -> Health:
        return {"status": "OK"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [(None, DEFAULT_SECONDS), (5.0, 5.0), (1e9, MOST_SECONDS), (float("inf"), MOST_SECONDS), (-5.0, 0.0)],
)
async def test_a_list_is_remembered_as_long_as_its_server_says_within_bounds(said: float | None, kept: float) -> None:
    now = [100.0]
    listings, provider = Listings(clock=lambda: now[0]), Provider(said)
    source = Source("p", provider, ToolGroup("g", "g"), NO_ACCESS)
    first = await listings.get(source)
    if kept:
        now[0] += kept - 0.5
        assert await listings.get(source) == first
    now[0] += 1
    assert [tool.name for tool in await listings.get(source)] == ["2"]
    listings.forget(source)
    assert [tool.name for tool in await listings.get(source)] == ["3"]
    await listings.close()
