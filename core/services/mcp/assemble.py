"""Assembles the MCP server; the rest of it is imported for its first request."""

from functools import cache
from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts

if TYPE_CHECKING:
    from core.services.mcp.catalog import Silent
    from core.services.mcp.router import McpRouter


def mcp_factory(parts: Parts) -> SurfaceFactory:
    """The surface `mcp`."""

    @cache
    def silent() -> "Silent":
        from core.services.mcp.catalog import silent_groups

        return silent_groups()

    def make(call: Call | None) -> "McpRouter":
        from core.services.mcp.router import McpRouter
        from core.services.tools.groups import Groups

        async def turns() -> tuple[list[str], list[str]]:
            groups = Groups(parts, call)
            first, rest = groups.in_turn(await groups.all())
            return [group.identifier for group in first], [group.identifier for group in rest]

        return McpRouter(parts, call, turns, silent())

    return make
