"""`python -P mcp_server_script.py 1|2 PORT`: a server of the official SDK, run by the interpreter of its own environment.

With 1 (the SDK as of 2025) `/sse` has HTTP+SSE and `/mcp` streamable HTTP; with 2 (as of 2026) `/mcp` has both what is stateless and what came before.
It imports nothing of ours: there is nothing of ours where it runs.
"""

import asyncio
import sys
from typing import Any

STEPS = 3


def make(generation: str) -> tuple[Any, Any, Any]:
    """The server, the class of a call's context, and the types of content."""
    if generation == "1":
        from mcp import types
        from mcp.server.fastmcp import Context, FastMCP

        return FastMCP("old"), Context, types
    from mcp import types
    from mcp.server.mcpserver import Context, MCPServer

    return MCPServer("new", version="2.0.0"), Context, types


def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


def add(a: int, b: int = 1) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": a + b}


def fail(secret: str) -> str:
    raise ValueError(f"it failed with {secret}")


def add_contents(server: Any, types: Any) -> None:
    def show() -> list[Any]:
        """All kinds of content."""
        note = types.TextResourceContents(uri="test://note", mimeType="text/plain", text="a note")
        return [
            types.TextContent(type="text", text="seen"),
            types.ImageContent(type="image", data="iVBORw0KGgo=", mimeType="image/png"),
            types.AudioContent(type="audio", data="UklGRg==", mimeType="audio/wav"),
            types.EmbeddedResource(type="resource", resource=note),
            types.ResourceLink(type="resource_link", uri="test://link", name="a link"),
        ]

    server.tool(structured_output=False)(show)


def add_slow_tools(server: Any, context_type: Any) -> None:
    ended: list[bool] = []

    async def count(ctx: Any) -> str:
        for step in range(STEPS):
            await ctx.report_progress(step + 1, STEPS, f"step {step + 1}")
        return "counted"

    async def wait(ctx: Any) -> str:
        """Wait until it is cancelled; `waited` says how often that was."""
        del ctx
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)
        return "waited"

    def waited() -> str:
        return str(len(ended))

    for function in (count, wait):
        function.__annotations__["ctx"] = context_type
    for tool in (count, wait, waited):
        server.tool()(tool)


def main(generation: str, port: str) -> None:
    import uvicorn

    server, context_type, types = make(generation)
    for tool in (greet, add, fail):
        server.tool()(tool)
    add_contents(server, types)
    add_slow_tools(server, context_type)
    app = server.streamable_http_app()
    if generation == "1":
        app.router.routes.extend(server.sse_app().routes)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")


if __name__ == "__main__":
    main(*sys.argv[1:])
