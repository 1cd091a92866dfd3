"""Assembles the services of tools."""

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.mcp.assemble import mcp_factory
from core.services.parts import Parts
from core.services.retrieval.assemble import assemble_rag_tool
from core.services.tools.groups import Groups
from core.services.tools.listings import Listings
from core.services.tools.router import ConnectorsRouter, ToolRuntimeRouter
from core.services.tools.service import ToolService


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"tool_runtime": ..., "connectors": ..., "tools": ..., "rag_tool": ..., "mcp": ...}`; what was listed is remembered for all."""
    listings = Listings()
    parts.end_with(listings.close)

    def runtime(call: Call | None) -> ToolRuntimeRouter:
        groups = Groups(parts, call)
        return ToolRuntimeRouter(ToolService(groups, listings), groups)

    def connectors(call: Call | None) -> ConnectorsRouter:
        groups = Groups(parts, call)
        return ConnectorsRouter(ToolService(groups, listings), groups)

    return {
        "tool_runtime": runtime,
        "connectors": connectors,
        "tools": lambda call: ToolService(Groups(parts, call), listings),
        "rag_tool": assemble_rag_tool(parts),
        "mcp": mcp_factory(parts),
    }
