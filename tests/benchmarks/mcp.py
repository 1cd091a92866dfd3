"""What does a call of an MCP server's tool cost over a bare POST of the same request to the same server, and through the whole stack?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import aiohttp
from pydantic_core import from_json, to_json

from core.apis.tools import NO_ACCESS, Tools
from core.config.load import load
from core.frame.callers import ANONYMOUS, Call
from core.resolution.resolve import resolve
from core.services.parts import surface_for
from tests.benchmarks.pgvector import timed
from tests.benchmarks.processes import started
from tests.benchmarks.table import Row
from tests.parts import mcp_servers
from tests.parts.mcp_double import group, provider

CALLS, WARM, GOAL = 200, 20, "<= 1.5x"
ARGUMENTS: Final = {"name": "greet", "arguments": {"name": "Bo"}}
HEADERS: Final = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
META: Final[dict[str, Any]] = {
    f"io.modelcontextprotocol/{name}": value
    for name, value in (("protocolVersion", "2026-07-28"), ("clientCapabilities", {}))
}
STATELESS: Final = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "greet"}
CONFIG: Final = """
version: 2
image_name: tools
apis: [tool_runtime]
providers:
  tool_runtime:
    - {{provider_id: mcp, provider_type: "remote::model-context-protocol", config: {{}}}}
tool_groups:
  - {{toolgroup_id: "mcp::bench", provider_id: mcp, mcp_endpoint: {{uri: "{url}"}}}}
metadata_store: {{type: sqlite, db_path: "{folder}/registry.db"}}
"""


def mcp() -> list[Row]:
    with mcp_servers.running("2") as new, mcp_servers.running("1") as old:
        return asyncio.run(measure(f"{new}/mcp", f"{old}/mcp"))


async def measure(new: str, old: str) -> list[Row]:
    rows: list[Row] = []
    async with AsyncExitStack() as closing:
        http = await closing.enter_async_context(aiohttp.ClientSession())
        made = provider()
        closing.push_async_callback(made.close)
        session = await begin(http, old)
        for name, url, headers, meta in (
            ("2026", new, STATELESS, {"_meta": META}),
            ("2025, in a session", old, session, {}),
        ):
            tools, body = group(url), to_json(request("tools/call", ARGUMENTS | meta))
            ours, floor = await alternated(
                partial(made.invoke_tool, tools, "greet", {"name": "Bo"}, NO_ACCESS),
                partial(post, http, url, body, headers),
            )
            rows.append(compared(f"tool call by the client, MCP {name}", ours, floor))
        rows.append(await measure_opening(old, http, session))
        rows += await measure_stack(new, http)
    return rows


async def measure_opening(url: str, http: aiohttp.ClientSession, session: Mapping[str, str]) -> Row:
    """A session for each call: what is saved by keeping one."""
    floor, ours = list[float](), list[float]()
    body = to_json(request("tools/call", ARGUMENTS))

    async def alone() -> None:
        own = await begin(http, url)
        await post(http, url, body, own)
        async with http.delete(url, headers=own):
            pass

    for _ in range(CALLS // 4):
        await timed(floor, partial(post, http, url, body, session))
        await timed(ours, alone)
    return compared("bare tool call, MCP 2025, a session for each", ours, floor, "")


async def measure_stack(url: str, http: aiohttp.ClientSession) -> list[Row]:
    """In its process, as the API responses calls tools; and served, as 0.2 invokes one, and as an MCP client does."""
    with TemporaryDirectory() as folder:
        config = Path(folder) / "run.yaml"
        config.write_text(CONFIG.format(url=url, folder=folder), "utf-8")
        rows = await measure_calls(config, url, http)
        with (
            started("-m", "core.cli.main", "serve", str(config), "--port", "0") as (port, _),
            started("-m", "tests.benchmarks.forward", url) as (forward, _),
        ):
            return rows + await measure_served(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{forward}/", url, http)


async def measure_calls(config: Path, url: str, http: aiohttp.ClientSession) -> list[Row]:
    stack = await resolve(load(config, {}), ["tool_runtime"], version="1")
    body = to_json(request("tools/call", ARGUMENTS | {"_meta": META}))

    def tools() -> Tools:
        return cast("Tools", surface_for(stack, "tools", Call(ANONYMOUS)))

    async def listed() -> None:
        """Of a group that was listed for the model; each call has a surface of its own."""
        own = tools()
        tool = next(tool for tool in await own.list_group("mcp::bench") if tool.tool.name == "greet")
        await own.call(tool, {"name": "Bo"})

    async def by(name: str) -> None:
        own = tools()
        await own.call(await own.find(name), {"name": "Bo"})

    rows: list[Row] = []
    for what, work, goal in (
        ("of a listed group", listed, GOAL),
        ("by its full name", partial(by, "mcp::bench/greet"), GOAL),
        ("by its bare name", partial(by, "greet"), ""),
    ):
        ours, floor = await alternated(work, partial(post, http, url, body, STATELESS))
        rows.append(compared(f"tool call through the stack, in process, {what}", ours, floor, goal))
    await stack.close()
    return rows


async def measure_served(stack: str, forward: str, url: str, http: aiohttp.ClientSession) -> list[Row]:
    """Over the bare POST, and over one that a bare app has forwarded: both are two hops then."""
    full, bare = (to_json({"tool_name": name, "kwargs": {"name": "Bo"}}) for name in ("mcp::bench/greet", "greet"))
    call, tools = (to_json(request(f"tools/{verb}", ARGUMENTS | {"_meta": META})) for verb in ("call", "list"))
    listing = {**STATELESS, "mcp-method": "tools/list"}
    floors = [("", url), (", over two hops", forward)]
    rows: list[Row] = []
    for what, path, body, headers, floor_body, over in (
        ("tool call through invoke, by its full name", "/v1/tool-runtime/invoke", full, {}, call, floors),
        ("tool call through invoke, by its bare name", "/v1/tool-runtime/invoke", bare, {}, call, floors),
        ("tool call through /mcp", "/mcp", call, STATELESS, call, floors),
        ("tools/list through /mcp", "/mcp", tools, listing, tools, floors[:1]),
    ):
        for name, place in over:
            ours, floor = await alternated(
                partial(post, http, f"{stack}{path}", body, headers),
                partial(post, http, place, floor_body, listing if floor_body is tools else STATELESS),
            )
            rows.append(compared(what + name, ours, floor, ""))
    return rows


async def alternated(
    ours: Callable[[], Awaitable[Any]], floor: Callable[[], Awaitable[Any]]
) -> tuple[list[float], list[float]]:
    """The seconds of each, without the first ones."""
    own, bare = list[float](), list[float]()
    for _ in range(CALLS + WARM):
        await timed(bare, floor)
        await timed(own, ours)
    return own[WARM:], bare[WARM:]


def request(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def begin(http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """The headers of a new session."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    async with http.post(url, data=to_json(request("initialize", params)), headers=HEADERS) as answer:
        await answer.read()
        own = {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    note = to_json({"jsonrpc": "2.0", "method": "notifications/initialized"})
    async with http.post(url, data=note, headers=HEADERS | own) as answer:
        await answer.read()
    return own


async def post(http: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
    async with http.post(url, data=body, headers=HEADERS | dict(headers)) as answer:
        content = await answer.read()
        if answer.status != 200:
            raise RuntimeError(content.decode(errors="replace"))
        return from_json(content.partition(b"data: ")[2] if content.startswith(b"event:") else content)


def compared(what: str, ours: list[float], floor: list[float], goal: str = GOAL) -> Row:
    """By their medians."""
    own, bare = sorted(ours)[len(ours) // 2], sorted(floor)[len(floor) // 2]
    return Row(what, f"{own * 1e3:.2f} ms", f"{bare * 1e3:.2f} ms", own / bare, goal)
