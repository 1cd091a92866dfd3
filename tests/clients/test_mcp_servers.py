"""The client of MCP against official servers: of the Python SDK as of 2025 and of 2026, and npm's reference server."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from core.apis.tools import NO_ACCESS, Progress, ToolAccess
from core.errors import NotFound
from core.providers.mcp.tool_runtime import ModelContextProtocol
from tests.parts import mcp_servers
from tests.parts.mcp_double import group, provider

type Place = tuple[str, str]

PYTHON: list[Any] = [
    pytest.param(("2", "/mcp"), id="2026"),
    pytest.param(("1", "/mcp"), id="2025", marks=pytest.mark.conformance),
    pytest.param(("1", "/sse"), id="2024", marks=pytest.mark.conformance),
]
"""One of them is in every run."""


@contextmanager
def server_at(place: Place) -> Generator[str]:
    generation, path = place
    with mcp_servers.running(generation) as url:
        yield url + path


@pytest.mark.parametrize("place", PYTHON)
async def test_a_server_of_the_python_sdk_is_listed_called_and_left(place: Place) -> None:
    with server_at(place) as url:
        made, tools = provider(), group(url)
        try:
            names = {tool.name for tool in (await made.list_tools(tools, NO_ACCESS)).tools}
            assert names == {"greet", "add", "fail", "show", "count", "wait", "waited"}
            assert (await made.invoke_tool(tools, "add", {"a": 1}, NO_ACCESS)).structured == {"sum": 2}
            await _check_contents(made, tools)
            await _check_failures(made, tools)
            await _check_progress(made, tools)
            await _check_cancelling(made, tools)
        finally:
            await made.close()


@pytest.mark.conformance
@pytest.mark.parametrize(("transport", "path"), [("streamableHttp", "/mcp"), ("sse", "/sse")])
async def test_the_reference_server_of_npm_is_listed_and_called(transport: str, path: str) -> None:
    with mcp_servers.running_everything(transport) as url:
        made, tools = provider(), group(url + path)
        try:
            assert "get-sum" in {tool.name for tool in (await made.list_tools(tools, NO_ACCESS)).tools}
            echoed: Any = await made.invoke_tool(tools, "echo", {"message": "Bo"}, NO_ACCESS)
            assert echoed.content[0]["text"] == "Echo: Bo"
            image: Any = await made.invoke_tool(tools, "get-tiny-image", {}, NO_ACCESS)
            assert "image" in [block["type"] for block in image.content]
        finally:
            await made.close()


async def _check_contents(made: ModelContextProtocol, tools: Any) -> None:
    blocks: Any = (await made.invoke_tool(tools, "show", {}, NO_ACCESS)).content
    assert [block["type"] for block in blocks] == ["text", "image", "audio", "resource", "resource_link"]
    assert (blocks[3]["resource"]["text"], blocks[4]["uri"]) == ("a note", "test://link")


async def _check_failures(made: ModelContextProtocol, tools: Any) -> None:
    assert (await made.invoke_tool(tools, "fail", {"secret": "s"}, NO_ACCESS)).failed
    assert (await made.invoke_tool(tools, "greet", {}, NO_ACCESS)).failed
    with pytest.raises(NotFound):
        await made.invoke_tool(tools, "nope", {}, NO_ACCESS)


async def _check_progress(made: ModelContextProtocol, tools: Any) -> None:
    heard: list[Progress] = []

    async def on_progress(progress: Progress) -> None:
        heard.append(progress)

    await made.invoke_tool(tools, "count", {}, ToolAccess(on_progress=on_progress))
    assert [progress["progress"] for progress in heard] == [1, 2, 3]


async def _check_cancelling(made: ModelContextProtocol, tools: Any) -> None:
    """The server's own tool says whether it was cancelled."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await made.invoke_tool(tools, "wait", {}, NO_ACCESS)
    async with asyncio.timeout(10):
        while True:
            waited: Any = await made.invoke_tool(tools, "waited", {}, NO_ACCESS)
            if waited.content[0]["text"] == "1":
                return
