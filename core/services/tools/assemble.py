"""Assembles the services of tools; none is imported before it is asked: functions that only may call tools have them too."""

from functools import cache
from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.mcp.assemble import mcp_factory
from core.services.parts import Parts
from core.services.retrieval.assemble import assemble_rag_tool

if TYPE_CHECKING:
    from core.services.tools.groups import Groups
    from core.services.tools.listings import Listings
    from core.services.tools.router import ConnectorsRouter, ToolRuntimeRouter
    from core.services.tools.service import ToolService


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"tool_runtime": ..., "connectors": ..., "tools": ..., "rag_tool": ..., "mcp": ...}`; what was listed is remembered for all."""

    @cache
    def listings() -> "Listings":
        from core.services.tools.listings import Listings

        made = Listings()
        parts.end_with(made.close)
        return made

    def groups(call: Call | None) -> "Groups":
        from core.services.tools.groups import Groups

        return Groups(parts, call)

    def service(own: "Groups") -> "ToolService":
        from core.services.tools.service import ToolService

        return ToolService(own, listings())

    def runtime(call: Call | None) -> "ToolRuntimeRouter":
        from core.services.tools.router import ToolRuntimeRouter

        own = groups(call)
        return ToolRuntimeRouter(service(own), own)

    def connectors(call: Call | None) -> "ConnectorsRouter":
        from core.services.tools.router import ConnectorsRouter

        own = groups(call)
        return ConnectorsRouter(service(own), own)

    return {
        "tool_runtime": runtime,
        "connectors": connectors,
        "tools": lambda call: service(groups(call)),
        "rag_tool": assemble_rag_tool(parts),
        "mcp": mcp_factory(parts),
    }
