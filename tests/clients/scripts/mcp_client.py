"""The official SDK of MCP for Python against /mcp: `python -m tests.clients.scripts.mcp_client URL`, with STACK_KEY and STACK_MODE."""

import asyncio
from collections.abc import Awaitable, Callable
import os
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.clients.scripts.harness import run

type Scene = Callable[[Any], Awaitable[None]]


def within(url: str, scene: Scene, key: str = "") -> None:
    async def main() -> None:
        headers = {"authorization": f"Bearer {key or os.environ['STACK_KEY']}"}
        async with httpx2.AsyncClient(headers=headers) as http:
            transport = streamable_http_client(f"{url}/mcp", http_client=http)
            async with Client(transport, mode=os.environ["STACK_MODE"]) as client:
                await scene(client)

    asyncio.run(main())


def lists_the_tools_of_its_group_alone(url: str) -> None:
    async def scene(client: Any) -> None:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "test_simple_text" in names, names
        assert "only_for_others" not in names, names

    within(url, scene)


def calls_tools(url: str) -> None:
    async def scene(client: Any) -> None:
        result = await client.call_tool("test_simple_text", {})
        assert result.content[0].text == "This is a simple text response for testing."
        kinds = [block.type for block in (await client.call_tool("test_multiple_content_types", {})).content]
        assert kinds == ["text", "image", "resource"], kinds
        failed = await client.call_tool("test_error_handling", {})
        assert failed.is_error
        await client.list_tools()  # of which it takes the headers of the next
        mirrored = await client.call_tool("test_mirrored_arguments", {"region": "Österreich", "count": 3})
        assert "Österreich" in mirrored.content[0].text, mirrored

    within(url, scene)


def gets_an_error_for_what_is_anothers(url: str) -> None:
    async def scene(client: Any) -> None:
        message = ""
        try:
            await client.call_tool("only_for_others", {})
        except MCPError as refused:
            message = str(refused)
        assert "Unknown tool" in message

    within(url, scene)


def is_told_that_a_token_is_wrong(url: str) -> None:
    async def scene(client: Any) -> None:
        await client.list_tools()

    failure: BaseException | None = None
    try:
        within(url, scene, "nothing")
    except Exception as refused:  # noqa: BLE001 - groups of groups
        failure = refused
    assert failure is not None, "it was let in"


if __name__ == "__main__":
    run(
        [
            lists_the_tools_of_its_group_alone,
            calls_tools,
            gets_an_error_for_what_is_anothers,
            is_told_that_a_token_is_wrong,
        ]
    )
